from __future__ import annotations

import numpy as np
import pytest

from release.evaluation.stage_summary import (
    UNTOUCHED,
    ItemBands,
    generator_table,
    item_slices,
    stage_figures,
    stage_table,
)
from release.evaluation.summary import Bootstrap
from tests.unit.release.evaluation.test_wanted_items import WANTED

BOOTSTRAP = Bootstrap(100, seed=7)


def test_the_stages_of_a_group_are_means_over_its_people_inside_their_intervals() -> None:
    table = stage_table(WANTED, (1, 2), BOOTSTRAP)
    values = dict(table.select("stage", "value").iter_rows())
    assert values["n_candidates"] == (7 + 9) / 2
    assert values["candidates"] == pytest.approx((3 / 5 + 1) / 2)
    assert table.filter((table["low"] > table["value"]) | (table["value"] > table["high"])).is_empty()
    assert list(values)[:3] == ["n_candidates", "proposed", "candidates"]


def test_the_figures_name_what_is_missed_down_to_the_first_cutoff() -> None:
    figures = stage_figures(stage_table(WANTED, (2, 4), BOOTSTRAP), 2)
    assert figures["warm"]["shown_at_4"] == pytest.approx((1 / 5 + 1) / 2)
    assert figures["warm"]["missed_at_2"]["ranking"] == pytest.approx((1 / 5) / 2)


def test_generators_come_best_alone_first_with_their_quotas() -> None:
    ordered = generator_table(
        WANTED.with_columns(by_content=WANTED["is_proposed"], without_content=True), "warm", {"als": 60}, BOOTSTRAP
    )
    assert ordered.select("generator", "quota").rows() == [("content", 0), ("als", 60)]
    assert ordered["alone"].to_list() == pytest.approx([(4 / 5 + 1) / 2, (3 / 5 + 1) / 2])


def test_items_are_of_bands_by_popularity_and_by_age_and_those_nobody_touched_of_their_own() -> None:
    popularity = np.linspace(1, 0.005, 200, dtype=np.float32)
    popularity[-1] = 0
    known_days = np.full(200, 400, np.float32)
    known_days[:3], known_days[-1] = [30, 31, 180.5], np.nan
    bands = ItemBands.of(popularity, known_days).by_name
    sizes = {name: int(of_band.sum()) for name, of_band in bands.items()}
    assert sizes == {
        UNTOUCHED: 1,
        "the most popular 1%": 2,
        "the next 9%": 18,
        "the next 40%": 80,
        "the rest": 99,
        "known up to 30 days": 1,
        "known 30 to 180 days": 1,
        "known over 180 days": 197,
    }


def test_a_kind_of_item_is_judged_by_the_people_who_wanted_any_of_it() -> None:
    is_first, is_rest = np.array([False, True, False, False, False, False]), np.array([False] * 2 + [True] * 4)
    bands = ItemBands({"first": is_first, "rest": is_rest, "none": np.zeros(6, bool)})
    rows = {(row["slice"], row["metric"]): row for row in item_slices(WANTED, bands, 2, BOOTSTRAP)}
    assert rows["items first", "recall_at_2"]["mean"] == 1  # u1 sees item 1 second, u2 first
    assert rows["items first", "recall_at_2"]["people"] == 2
    assert rows["items rest", "candidates_recall"]["mean"] == pytest.approx(2 / 4)
    assert (rows["items rest", "recall_at_2"]["people"], rows["items rest", "recall_at_2"]["items"]) == (1, 4)
    assert not any(name == "items none" for name, _ in rows)


def test_an_item_shown_past_the_cutoff_is_not_shown() -> None:
    everything = ItemBands({"any": np.ones(6, bool)})
    found = {row["metric"]: row["mean"] for row in item_slices(WANTED, everything, 1, BOOTSTRAP)}
    assert found["recall_at_1"] == pytest.approx((0 / 5 + 1) / 2)
