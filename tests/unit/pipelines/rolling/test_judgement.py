from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from contracts.errors import EngineMissing, WrongInput
from contracts.settings.candidates import SequenceSettings, TwoTowerSettings
from pipelines.rolling.figures import figures_of, table_of, tried_table_of
from pipelines.rolling.judgement import AS_THEY_ARE, Comparer, Windows, judge
from recommender.generators.deep.environments import GuestEnvironment
from release.evaluation.cases import COLD_POPULAR, WARM
from tests.release_worlds import small_settings
from tests.worlds import small_world

BOUNDS = {1: (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))}


def measured(*rows: tuple[str, int, str, str, str, float | None]) -> pl.DataFrame:
    """variant, window, group, system, user_id, NDCG@10; the recall of the candidates is half of it."""
    names = ["variant", "window", "group", "system", "user_id", "ndcg_at_10"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(candidates_recall=pl.when(pl.col("system") == "slates").then(pl.col("ndcg_at_10") / 2))


TWO_WINDOWS = measured(
    (AS_THEY_ARE, 1, WARM, "slates", "b", 0.5),
    (AS_THEY_ARE, 1, WARM, "slates", "a", 0.3),
    (AS_THEY_ARE, 1, WARM, "als", "a", 0.1),
    (AS_THEY_ARE, 1, WARM, "als", "b", 0.2),
    (AS_THEY_ARE, 2, WARM, "slates", "c", 0.4),
    (AS_THEY_ARE, 2, WARM, "als", "c", 0.6),
    (AS_THEY_ARE, 2, WARM, "rare", "c", 0.6),
    (AS_THEY_ARE, 2, COLD_POPULAR, "slates", "d", 0.6),
    ("tried", 1, WARM, "slates", "a", 0.4),
    ("tried", 1, WARM, "slates", "b", 0.5),
    ("tried", 2, WARM, "slates", "c", 0.4),
    ("tried", 2, COLD_POPULAR, "slates", "d", 0.1),
)
COMPARER = Comparer(TWO_WINDOWS, 100, seed=7)


def test_the_slates_gain_over_a_generator_the_mean_over_windows_of_paired_differences() -> None:
    gain = COMPARER.gain_over("ndcg_at_10", "als")
    assert gain.by_window == pytest.approx((((0.3 - 0.1) + (0.5 - 0.2)) / 2, 0.4 - 0.6))
    assert gain.mean == pytest.approx(((0.2 + 0.3) / 2 - 0.2) / 2)
    assert gain.n_ahead == 1


def test_what_is_tried_is_held_against_the_parameters_of_the_file() -> None:
    assert COMPARER.gain_of("tried", "ndcg_at_10").by_window == pytest.approx((0.1 / 2, 0))


def test_only_what_was_measured_in_every_window_is_compared() -> None:
    assert COMPARER.generators() == ["als"]
    assert COMPARER.groups() == [WARM]


def test_other_people_cannot_be_compared() -> None:
    other = Comparer(
        measured((AS_THEY_ARE, 1, WARM, "slates", "a", 1.0), (AS_THEY_ARE, 1, WARM, "als", "b", 1.0)), 9, 7
    )
    with pytest.raises(ValueError, match="not measured on the same people of window 1"):
        other.gain_over("ndcg_at_10", "als")


def test_the_figures_and_the_tables_say_the_same() -> None:
    figures = figures_of(COMPARER, BOUNDS, [7, 8], ["ndcg_at_10", "candidates_recall"], "tried")
    assert figures["seeds"] == [7, 8]
    assert figures["windows"][1] == {
        "start": "2020-01-01T00:00:00+00:00",
        "end": "2020-02-01T00:00:00+00:00",
        "people": 2,
    }
    assert figures["slates"]["candidates_recall"]["mean"] == pytest.approx((0.2 + 0.2) / 2)
    assert figures["gain_over"]["als"]["ndcg_at_10"]["by_window"] == [0.25, -0.2]
    columns, slates, als = table_of(figures)
    assert slates[:2] == ["slates", "0.400"]
    assert als[0:2] + als[4:5] + als[-1:] == ["als", "0.375", "+0.025", "1 of 1"]
    assert len({len(columns), len(slates), len(als)}) == 1
    assert tried_table_of(figures)[1][:3] == [WARM, "ndcg@10", "+0.025"]
    assert tried_table_of(figures_of(COMPARER, BOUNDS, [7], ["ndcg_at_10"])) == []


@pytest.mark.parametrize("rule", [{"excluding_events": ["purchase"]}, {"excluded_days": 30}])
def test_rules_that_exclude_differently_are_not_judged(
    rule: dict[str, object],
) -> None:
    variants = {AS_THEY_ARE: small_settings(), "tried": small_settings(request=rule)}
    with pytest.raises(WrongInput, match=r"params\.yaml and tried exclude differently") as told:
        judge(variants, small_world(n_events=1), Windows((), ()), [7])
    assert "slate compare A B" in str(told.value)


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("features", {"engine": "spark"}),
        (
            "candidates",
            {"als": {"engine": "spark", "factors": 4, "regularization": 0.1, "alpha": 5.0, "iterations": 3}},
        ),
    ],
)
def test_spark_that_is_not_there_is_told_before_anything_is_fitted(
    monkeypatch: pytest.MonkeyPatch, group: str, values: dict[str, object]
) -> None:
    monkeypatch.setattr("contracts.spark_session.java", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    variants = {AS_THEY_ARE: small_settings(), "tried": small_settings(**{group: values})}
    with pytest.raises(EngineMissing, match=rf"`{group}[.a-z]*\.engine: spark` asks for, needs Java"):
        judge(variants, small_world(n_events=1), Windows((), ()), [7])


@pytest.mark.parametrize(
    ("given", "environment"),
    [({"sequence": {}}, "torch"), ({"two_tower": {}}, "torch"), ({"two_tower": {"engine": "tfrs"}}, "tfrs")],
)
def test_a_guest_that_is_not_there_is_told_before_anything_is_fitted(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, object], environment: str
) -> None:
    monkeypatch.setattr(GuestEnvironment, "is_made", False)
    settings = small_settings()
    tried = settings.model_copy(update={"candidates": settings.candidates.model_copy(update=deep_settings(given))})
    variants = {AS_THEY_ARE: settings, "tried": tried}
    with pytest.raises(EngineMissing, match=rf"candidates\.{next(iter(given))} is trained in .*`{environment}`"):
        judge(variants, small_world(n_events=1), Windows((), ()), [7])


def deep_settings(given: dict[str, object]) -> dict[str, object]:
    """As params.yaml would be read."""
    kinds = {"sequence": SequenceSettings, "two_tower": TwoTowerSettings}
    return {name: kinds[name].model_validate(values) for name, values in given.items()}


def test_rules_that_name_the_same_events_in_another_order_exclude_alike() -> None:
    one, other = (
        small_settings(request={"excluding_events": list(events)})
        for events in (("purchase", "rating"), ("rating", "purchase"))
    )
    with pytest.raises(ValueError, match="concat"):  # there is no window: past the check
        judge({AS_THEY_ARE: one, "tried": other}, small_world(n_events=1), Windows((), ()), [7])
