"""A real study in a real file: what was tried stays, and what was interrupted is asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.settings.settings import load_settings
from pipelines.tuning.search_space import SearchSpace
from pipelines.tuning.study import BEFORE_PRUNING, TuningStudy, study_name

SPACE = SearchSpace.of(load_settings(Path(__file__).resolve().parents[4] / "params.yaml"), ["ranking"])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "tuning" / "movies.db"


def opened(database: Path, name: str = "movies-1") -> TuningStudy:
    return TuningStudy(database, name, SPACE, 7)


def test_it_begins_with_the_parameters_as_they_are_and_goes_on_after_what_was_tried(database: Path) -> None:
    study = opened(database)
    first = study.ask()
    assert first.overrides == SPACE.current()
    first.is_hopeless_after(1, 0.25)
    first.complete(0.25, 12.5)
    second = study.ask()
    second.complete(0.5, 1.0)
    again = opened(database)
    assert [(one.number, one.value, one.by_window, one.seconds) for one in again.tried()] == [
        (0, 0.25, {1: 0.25}, 12.5),
        (1, 0.5, {}, 1.0),
    ]
    third = again.ask()
    assert third.number == 2
    assert third.overrides not in (first.overrides, second.overrides)  # the seed does not draw the same again
    assert opened(database, "movies-2").tried() == []


def test_what_was_interrupted_is_asked_again_first(database: Path) -> None:
    study = opened(database)
    study.ask().complete(0.25, 1.0)
    lost = study.ask()
    lost.is_hopeless_after(1, 0.125)
    again = opened(database)
    failed = again.tried()[-1]
    assert (failed.number, failed.state, failed.why, failed.by_window) == (1, "FAIL", "interrupted", {1: 0.125})
    assert again.ask().overrides == lost.overrides


def test_the_best_are_whole_each_once_and_the_highest_first(database: Path) -> None:
    study = opened(database)
    for value in (0.25, 0.75, 0.5):
        study.ask().complete(value, 1.0)
    study.ask().prune(1.0)
    study.ask().fail("too little data", 1.0)
    repeated = study.tried()[1]
    study._study.enqueue_trial(dict(repeated.overrides))
    study.ask().complete(0.75, 1.0)
    assert [one.number for one in study.best(9)] == [1, 2, 0]
    assert [one.number for one in study.best(2)] == [1, 2]
    assert [one.state for one in study.tried()] == ["COMPLETE"] * 3 + ["PRUNED", "FAIL", "COMPLETE"]
    assert study.tried()[4].why == "too little data"


def test_what_is_below_the_median_after_as_many_windows_is_hopeless(database: Path) -> None:
    study = opened(database)
    for _ in range(BEFORE_PRUNING):
        trial = study.ask()
        assert not trial.is_hopeless_after(1, 0.5)
        trial.complete(0.5, 1.0)
    assert study.ask().is_hopeless_after(1, 0.25)
    assert not study.ask().is_hopeless_after(1, 0.75)


def test_a_study_is_named_by_all_that_makes_values_comparable() -> None:
    name = study_name("movies", {"data": "3f9a12"}, ["b", "a"])
    assert name.startswith("movies-")
    assert name == study_name("movies", {"data": "3f9a12"}, ["a", "b"])
    assert name != study_name("movies", {"data": "77c0de"}, ["a", "b"])
    assert name != study_name("movies", {"data": "3f9a12"}, ["a"])
