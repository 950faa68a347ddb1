"""The journal on a real SQLite file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal import Action, Journal, Note, Phase

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROMOTED = Note(Action.PROMOTE, Phase.DONE, "r-1", "g-1", version=3, epoch=7, requester="ada", reason="better")


@pytest.fixture
def journal(home: Home) -> Journal:
    return Journal(home, "movies", FixedClock(MOMENT))


def test_an_entry_comes_back_as_it_was_noted(journal: Journal, home: Home) -> None:
    journal.append(Note(Action.REFUSE, Phase.DONE, "r-9", figures={"ndcg": 0.25, "gates": [{"name": "ü"}]}))
    (entry,) = Journal(home, "movies").entries()
    assert (entry.id, entry.ts, entry.app, entry.release_id) == (1, MOMENT, "movies", "r-9")
    assert entry.figures == {"ndcg": 0.25, "gates": [{"name": "ü"}]}
    assert (entry.action, entry.phase) == (Action.REFUSE, Phase.DONE)


def test_the_end_of_a_step_names_its_intent(journal: Journal) -> None:
    note = Note(Action.PROMOTE, Phase.INTENT, "r-1", epoch=4)
    intent = journal.append(note)
    end = journal.append(note.ended(Phase.DONE, intent, epoch=5))
    assert (end.intent_id, end.phase, end.release_id, end.epoch) == (intent.id, Phase.DONE, "r-1", 5)


def test_applications_share_the_file_but_not_the_entries(journal: Journal, home: Home) -> None:
    shop = Journal(home, "shop")
    journal.append(PROMOTED)
    shop.append(PROMOTED)
    journal.append(PROMOTED)
    assert [entry.id for entry in journal.entries()] == [1, 3]
    assert [entry.id for entry in shop.entries()] == [2]
    assert shop.verify() == 3


@pytest.mark.parametrize("change", ["UPDATE journal SET reason = 'worse'", "DELETE FROM journal"])
def test_the_database_itself_refuses_to_change_an_entry(journal: Journal, home: Home, change: str) -> None:
    journal.append(PROMOTED)
    connection = sqlite3.connect(home.journal_database)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(change)
    connection.close()
    assert [entry.reason for entry in journal.entries()] == ["better"]


@pytest.mark.parametrize(
    "change",
    ["UPDATE journal SET reason = 'worse' WHERE id = 2", "DELETE FROM journal WHERE id = 2"],
)
def test_tampering_past_the_triggers_shows_in_the_chain(journal: Journal, home: Home, change: str) -> None:
    for _ in range(3):
        journal.append(PROMOTED)
    assert journal.verify() == 3
    connection = sqlite3.connect(home.journal_database)
    connection.executescript(f"DROP TRIGGER journal_refuses_UPDATE; DROP TRIGGER journal_refuses_DELETE; {change};")
    connection.close()
    with pytest.raises(ArtefactError, match=r"entry [23] does not follow"):
        journal.verify()


def test_writers_at_the_same_time_make_one_chain(home: Home) -> None:
    Journal(home, "movies")

    def write(number: int) -> None:
        Journal(home, "movies").append(Note(Action.OBSERVE, Phase.DONE, reason=str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    journal = Journal(home, "movies")
    assert journal.verify() == 40
    assert sorted(int(entry.reason) for entry in journal.entries()) == list(range(40))
