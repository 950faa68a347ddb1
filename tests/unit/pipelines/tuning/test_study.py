"""A real study in a real file: what was tried stays, and what was interrupted is asked again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from contracts.errors import WorkspaceError
from contracts.settings.settings import load_settings
from pipelines.tuning.search_space import SearchSpace
from pipelines.tuning.study import BEFORE_PRUNING, TuningStudy, errors_of, study_name

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


def test_what_was_killed_while_it_was_drawn_is_no_trial(database: Path) -> None:
    some = dict(list(SPACE.distributions().items())[:2])
    opened(database)._study.ask(some)  # the others are not written yet
    study = opened(database)
    assert study.tried() == []
    first = study.ask()
    assert first.overrides == SPACE.current()
    first.complete(0.25, 1.0)
    study._study.ask(some)
    again = opened(database)
    assert [one.value for one in again.tried()] == [0.25]
    assert set(again.ask().overrides) == {one.key for one in SPACE.parameters}


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


@pytest.mark.parametrize(
    ("content", "told", "next_step"),
    [
        (b"no database" * 1000, "file is not a database", "Move it away"),
        (None, "unable to open database file", "run the same command again: it goes on"),
    ],
    ids=["damaged", "a folder"],
)
def test_a_file_that_cannot_be_read_is_told_by_its_name(
    database: Path, content: bytes | None, told: str, next_step: str
) -> None:
    database.parent.mkdir()
    if content is None:
        database.mkdir()
    else:
        database.write_bytes(content)
    with pytest.raises(WorkspaceError, match=told) as raised, errors_of(database):
        opened(database)
    assert str(database) in raised.value.problem
    assert next_step in raised.value.next_step


def test_a_disk_that_fills_up_within_a_search_is_told_and_the_search_goes_on_once_there_is_room(database: Path) -> None:
    study = opened(database)
    study.ask().complete(0.25, 1.0)
    with closing(sqlite3.connect(database)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()

    @event.listens_for(Engine, "connect")
    def no_more_pages(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def search() -> None:
        with errors_of(database):
            full = opened(database)
            for _ in range(50):
                full.ask().complete(0.5, 1.0)

    try:
        with pytest.raises(WorkspaceError, match="database or disk is full") as raised:
            search()
    finally:
        event.remove(Engine, "connect", no_more_pages)
    assert "Free disk space" in raised.value.next_step
    again = opened(database)
    n_tried = len(again.tried())
    again.ask().complete(0.75, 1.0)
    assert (again.tried()[0].value, len(again.tried())) == (0.25, n_tried + 1)


def test_a_study_is_named_by_all_that_makes_values_comparable() -> None:
    name = study_name("movies", {"data": "3f9a12"}, ["b", "a"])
    assert name.startswith("movies-")
    assert name == study_name("movies", {"data": "3f9a12"}, ["a", "b"])
    assert name != study_name("movies", {"data": "77c0de"}, ["a", "b"])
    assert name != study_name("movies", {"data": "3f9a12"}, ["a"])
