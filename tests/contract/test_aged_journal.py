"""An old journal costs no more than a young one: rows are counted, on each database, and no clock is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bench.aged_journal import START, hourly_refreshes, write_at_once
from contracts.home import Home
from release.journal.checkpoints import EVERY
from release.journal.journal import Action, Journal, Note, Phase
from release.journal.postgres import PostgresConnection
from release.journal.sqlite import SqliteConnection

N_HOURS = 10_000  # two rows each
FEW = 10  # rows beside those behind the last checkpoint: the entries that a view holds, and a checkpoint


@pytest.fixture
def n_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many rows were read since it was asked last."""
    counts = [0]

    def counting(read):
        def rows(self, sql, **parameters):
            found = read(self, sql, **parameters)
            counts[0] += len(found)
            return found

        return rows

    for connection in (SqliteConnection, PostgresConnection):
        monkeypatch.setattr(connection, "rows", counting(connection.rows))

    def read() -> int:
        n, counts[0] = counts[0], 0
        return n

    return read


@pytest.fixture
def aged(home: Home, database: sa.Engine) -> Iterator[Journal]:
    """A journal of more than a year that somebody has read before."""
    write_at_once(home, "movies", hourly_refreshes("r-a", N_HOURS))
    journal = Journal(home, "movies")
    journal.view()
    yield journal
    journal.close()


def in_another_process(home: Home) -> Journal:
    """A journal that knows nothing of what this process has read."""
    return Journal(home, "movies")


def test_a_process_that_goes_on_reads_what_came_since(aged: Journal, n_rows: Callable[[], int]) -> None:
    n_rows()
    aged.append(Note(Action.RECORD, Phase.DONE))
    assert n_rows() == 1  # the end of the chain
    aged.view()
    assert n_rows() == 2  # the last entry as it knows it, and the new one
    aged.view()
    assert n_rows() == 1


def test_a_new_process_reads_no_more_than_comes_behind_a_checkpoint(
    aged: Journal, home: Home, n_rows: Callable[[], int]
) -> None:
    for _ in range(EVERY - 1):
        aged.append(Note(Action.RECORD, Phase.DONE))
    n_rows()
    view = in_another_process(home).view()
    assert n_rows() < EVERY + FEW
    assert view.production.generation_id == f"g-{N_HOURS - 1:05}"
    aged.append(Note(Action.RECORD, Phase.DONE))
    in_another_process(home).view()  # keeps one, as it had to read that many
    n_rows()
    in_another_process(home).view()
    assert n_rows() < FEW


def test_what_stood_at_a_moment_is_read_from_the_checkpoint_before_it(
    home: Home, database: sa.Engine, n_rows: Callable[[], int]
) -> None:
    notes = list(hourly_refreshes("r-a", 4 * EVERY))
    for first in range(0, len(notes), EVERY):
        write_at_once(home, "movies", notes[first : first + EVERY])
        in_another_process(home).view()
    for hour in (0, EVERY // 2 - 1, EVERY // 2, 3 * EVERY, 4 * EVERY - 1):
        n_rows()
        standing = in_another_process(home).at(START + timedelta(hours=hour, minutes=59))
        assert n_rows() < EVERY + FEW
        assert standing.production.generation_id == f"g-{hour:05}"
        assert standing.since.id == 2


def test_the_last_entries_are_read_alone(aged: Journal, n_rows: Callable[[], int]) -> None:
    n_rows()
    assert [entry.id for entry in aged.latest(3)] == [2 * N_HOURS - 2, 2 * N_HOURS - 1, 2 * N_HOURS]
    assert n_rows() == 3
