"""An old journal costs no more than a young one: rows are counted, on each database, and no clock is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bench.aged_journal import RELEASE_HOURS, START, hourly_refreshes, put_behind_checkpoint, write_at_once
from contracts.home import Home
from release.journal.checkpoints import ENTRIES_PER_CHECKPOINT
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal

N_HOURS = {"sqlite": 10_000, "postgresql": 1_000}  # two rows each; Postgres takes one row at a time, over a socket
FEW = 10  # rows beside those behind the last checkpoint: the entries that a view holds, and a checkpoint


@pytest.fixture(scope="module")
def aged_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than a year of a journal in SQLite."""
    home = Home(tmp_path_factory.mktemp("aged"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SLATE_JOURNAL_URL", raising=False)
        write_at_once(home, "movies", hourly_refreshes("r-a", N_HOURS["sqlite"], RELEASE_HOURS))
    return home.journal_database


@pytest.fixture
def n_hours(database: sa.Engine) -> int:
    return N_HOURS[database.dialect.name]


@pytest.fixture
def aged(home: Home, database: sa.Engine, n_hours: int, aged_file: Path) -> Iterator[Journal]:
    """A journal of many hours that somebody has read before."""
    if database.dialect.name == "sqlite":
        shutil.copy(aged_file, home.journal_database)
    else:
        write_at_once(home, "movies", hourly_refreshes("r-a", n_hours, RELEASE_HOURS))
    journal = Journal(home, "movies")
    journal.keep_checkpoint()
    yield journal
    journal.close()


def in_another_process(home: Home) -> Journal:
    """A journal that knows nothing of what this process has read."""
    return Journal(home, "movies")


def test_a_process_that_goes_on_reads_what_came_since(aged: Journal, n_journal_rows: Callable[[], int]) -> None:
    n_journal_rows()
    aged.append(Note(Action.RECORD, Phase.DONE))
    assert n_journal_rows() == 1  # the end of the chain
    aged.view()
    assert n_journal_rows() == 2  # the last entry as it knows it, and the new one
    aged.view()
    assert n_journal_rows() == 1


def test_a_new_process_reads_no_more_than_comes_behind_a_checkpoint(
    aged: Journal, home: Home, n_hours: int, n_journal_rows: Callable[[], int]
) -> None:
    for _ in range(ENTRIES_PER_CHECKPOINT - 1):
        aged.append(Note(Action.RECORD, Phase.DONE))
    n_journal_rows()
    view = in_another_process(home).view()
    assert n_journal_rows() < ENTRIES_PER_CHECKPOINT + FEW
    assert view.production.generation_id == f"g-{n_hours - 1:05}"
    aged.append(Note(Action.RECORD, Phase.DONE))
    in_another_process(home).keep_checkpoint()
    n_journal_rows()
    in_another_process(home).view()
    assert n_journal_rows() < FEW


def test_a_benchmark_reads_the_most_that_usually_comes_behind_a_checkpoint(
    aged: Journal, home: Home, n_hours: int, n_journal_rows: Callable[[], int]
) -> None:
    for _ in range(2):  # also where there are more already
        aged.append(Note(Action.RECORD, Phase.DONE))
        put_behind_checkpoint(home, "movies")
        n_journal_rows()
        view = in_another_process(home).view()
        assert view.n_entries - view.n_kept == ENTRIES_PER_CHECKPOINT - 1
        assert ENTRIES_PER_CHECKPOINT - 1 <= n_journal_rows() < ENTRIES_PER_CHECKPOINT + FEW
    assert len(view.moves.trail.latest) == -(-n_hours // RELEASE_HOURS)


def test_what_stood_at_a_moment_is_read_from_the_checkpoint_before_it(
    home: Home, database: sa.Engine, n_journal_rows: Callable[[], int]
) -> None:
    notes = list(hourly_refreshes("r-a", 4 * ENTRIES_PER_CHECKPOINT))
    for first in range(0, len(notes), ENTRIES_PER_CHECKPOINT):
        write_at_once(home, "movies", notes[first : first + ENTRIES_PER_CHECKPOINT])
        in_another_process(home).keep_checkpoint()
    for hour in (
        0,
        ENTRIES_PER_CHECKPOINT // 2 - 1,
        ENTRIES_PER_CHECKPOINT // 2,
        3 * ENTRIES_PER_CHECKPOINT,
        4 * ENTRIES_PER_CHECKPOINT - 1,
    ):
        n_journal_rows()
        standing = in_another_process(home).at(START + timedelta(hours=hour, minutes=59))
        assert n_journal_rows() < ENTRIES_PER_CHECKPOINT + FEW
        assert standing.production.generation_id == f"g-{hour:05}"
        assert standing.since.id == 2


def test_a_journal_that_had_no_checkpoints_gets_them_on_the_whole_way(
    aged: Journal, home: Home, n_hours: int, n_journal_rows: Callable[[], int]
) -> None:
    for hour in (1, n_hours // 3, n_hours // 2, n_hours - 2):
        n_journal_rows()
        standing = in_another_process(home).at(START + timedelta(hours=hour, minutes=59))
        assert n_journal_rows() < ENTRIES_PER_CHECKPOINT + FEW
        assert standing.production.generation_id == f"g-{hour:05}"


def test_the_last_entries_are_read_alone(aged: Journal, n_hours: int, n_journal_rows: Callable[[], int]) -> None:
    n_journal_rows()
    assert [entry.id for entry in aged.latest(3)] == [2 * n_hours - 2, 2 * n_hours - 1, 2 * n_hours]
    assert n_journal_rows() == 3
