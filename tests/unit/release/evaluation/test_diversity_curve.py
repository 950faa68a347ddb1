from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from release.evaluation.cases import WARM
from release.evaluation.diversity_curve import BUDGETS, DIVERSITY, diversity_curve, write_diversity_curve
from release.evaluation.evaluation import SLATES, evaluate, values_of
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.summary import Bootstrap
from tests.unit.release.evaluation.test_wanted_items import HISTORIES, case
from tests.unit.release.made_up_release import N_ITEMS, made_up_reader, made_up_release

CASES = (case("u1", [11, 3]), case("u2", [3]), case("u3", [9]))


def curve_of(**diversity: Any) -> pl.DataFrame | None:
    release = made_up_release(diversity=diversity)
    judge = Judge(
        (2, 4), release.catalogue.ids, np.full(N_ITEMS, 0.25, np.float32), category_vectors(release.catalogue)
    )
    return diversity_curve(release, made_up_reader(HISTORIES), CASES, judge, Bootstrap(50, 7))


def test_a_release_that_does_not_diversify_has_no_curve(tmp_path: Path) -> None:
    assert curve_of(method="none") is None
    write_diversity_curve(None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_more_may_be_lost_the_more_diverse_the_slates_are() -> None:
    curve = curve_of(method="mmr", strength=0.9, max_relevance_loss=0.3)
    assert curve is not None
    assert curve["budget"].to_list() == sorted({*BUDGETS, 0.3})
    assert curve.filter("is_served")["budget"].to_list() == [0.3]
    diversity = curve["diversity"].to_list()
    assert diversity[0] == 0  # the ranker's own order: dramas alone
    assert diversity == sorted(diversity)
    assert diversity[-1] > 0.5


def test_the_row_of_a_budget_is_what_evaluation_measures_of_it() -> None:
    curve = curve_of(method="dpp", strength=0.9, max_relevance_loss=0.2)
    assert curve is not None
    served = curve.row(by_predicate=pl.col("is_served"), named=True)
    release = made_up_release(diversity={"method": "dpp", "strength": 0.9, "max_relevance_loss": 0.2})
    judge = Judge(
        (2, 4), release.catalogue.ids, np.full(N_ITEMS, 0.25, np.float32), category_vectors(release.catalogue)
    )
    measured = evaluate(release, made_up_reader(HISTORIES), {WARM: CASES}, judge, alone=())
    assert served["ndcg"] == values_of(measured.per_person, WARM, SLATES, "ndcg_at_2").mean()
    assert served["coverage"] == measured.coverage["coverage_at_2"].item()
    own = curve.row(by_predicate=pl.col("budget") == 0, named=True)
    assert (own["gain"], own["gain_low"], own["gain_high"]) == (0, 0, 0)
    assert abs(served["gain"] - (served["ndcg"] - own["ndcg"])) < 1e-12


def test_the_curve_is_a_file_that_can_be_read_again(tmp_path: Path) -> None:
    curve = curve_of(method="calibration", strength=0.9)
    write_diversity_curve(curve, tmp_path)
    assert curve is not None
    assert pl.read_csv(tmp_path / DIVERSITY).columns == curve.columns
