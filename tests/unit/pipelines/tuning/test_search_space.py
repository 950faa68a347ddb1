from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import WrongInput
from contracts.settings.search_range import tunable_parameters
from contracts.settings.settings import Settings, load_settings
from pipelines.rolling.kept_fits import FEATURES, GENERATORS, MEASURED, RANKER, ROWS
from pipelines.runs.overrides import overridden_settings
from pipelines.tuning.search_space import SearchSpace

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(PARAMS)


def test_both_ends_of_every_range_are_values_that_the_parameter_may_have(settings: Settings) -> None:
    every = tunable_parameters(settings)
    assert {"ranking.n_leaves", "candidates.als.alpha", "request.quotas.als", "request.n_ranked"} <= {
        one.key for one in every
    }
    for end in ("low", "high"):
        values = {one.key: getattr(one.range, end) for one in every}
        overridden_settings(PARAMS.read_bytes(), values)
    assert all(one.range.low < one.range.high and (one.range.low > 0 or not one.range.log) for one in every)


def test_the_parameters_as_shipped_lie_within_their_ranges_and_so_are_the_first_trial(settings: Settings) -> None:
    space = SearchSpace.of(settings)
    assert space.current() == {one.key: one.current for one in tunable_parameters(settings)}
    assert space.overrides(space.current() or {}) == space.current()
    narrow = settings.model_copy(update={"ranking": settings.ranking.model_copy(update={"n_leaves": 500})})
    assert SearchSpace.of(narrow, ["ranking"]).current() is None
    off_step = settings.request.model_copy(update={"quotas": {"als": 65}})
    assert SearchSpace.of(settings.model_copy(update={"request": off_step}), ["request.quotas"]).current() is None


def test_only_takes_parameters_and_groups_and_says_what_there_is(settings: Settings) -> None:
    assert SearchSpace.of(settings, ["candidates.popular", "ranking.l2"]).keys == [
        "candidates.popular.recent_days",
        "candidates.popular.segment_smoothing",
        "ranking.l2",
    ]
    with pytest.raises(WrongInput, match=r"names no parameter that can be tuned: those are candidates\.als\.factors, "):
        SearchSpace.of(settings, ["ranking.n_leafs"])
    with pytest.raises(WrongInput) as not_declared:
        SearchSpace.of(settings, ["ranking.n_tree"])
    assert "`--only ranking.n_trees`" in not_declared.value.next_step
    with pytest.raises(WrongInput):
        SearchSpace.of(settings, ["ranking.n_threads"])


def test_nothing_is_asked_of_a_generator_that_is_off(settings: Settings) -> None:
    candidates = settings.candidates.model_copy(update={"off": ("content",)})
    space = SearchSpace.of(settings.model_copy(update={"candidates": candidates}), ["request.quotas"])
    assert "request.quotas.content" not in space.keys
    assert "request.quotas.als" in space.keys


def test_what_is_drawn_is_measured_as_it_is_written(settings: Settings) -> None:
    space = SearchSpace.of(settings, ["ranking.learning_rate", "ranking.n_leaves", "candidates.als.regularization"])
    drawn = {"ranking.learning_rate": 0.0834629, "ranking.n_leaves": 15, "candidates.als.regularization": 0.0009999}
    assert space.overrides(drawn) == {
        "candidates.als.regularization": 0.001,
        "ranking.learning_rate": 0.0835,
        "ranking.n_leaves": 15,
    }


@pytest.mark.parametrize(
    ("only", "shared"),
    [
        ("ranking", {FEATURES, MEASURED, GENERATORS, ROWS}),
        ("request.relevance_weight", {FEATURES, MEASURED, GENERATORS, ROWS, RANKER}),
        ("request.quotas", {FEATURES, MEASURED, GENERATORS}),
        ("candidates.als", {FEATURES, MEASURED}),
    ],
)
def test_a_step_is_kept_for_other_trials_where_no_searched_parameter_changes_it(
    settings: Settings, only: str, shared: set[str]
) -> None:
    assert SearchSpace.of(settings, [only]).steps_shared() == shared
