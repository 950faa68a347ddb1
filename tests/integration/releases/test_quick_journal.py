"""The journal opened quickly is the same journal: one chain, whoever wrote which entry."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest

from contracts.clock import FixedClock
from contracts.errors import WorkspaceError
from contracts.home import Home
from release.journal import quick_journal
from release.journal.journal import Action, Journal, Note, Phase
from release.journal.quick_journal import QuickJournal, open_journal
from tests.promotion_worlds import CHECKOUT

CLOCK = FixedClock(datetime(2026, 11, 1, 12, tzinfo=UTC))


def note(number: int) -> Note:
    figures = {"number": number, "names": ["ä", "b"], "share": 0.1}
    return Note(Action.PROMOTE, Phase.INTENT, f"r-{number}", "g", number, 3, "cli:ada", "because", figures)


@pytest.fixture
def journal(home: Home) -> Journal:
    return Journal(home, "movies", CLOCK)


def test_entries_written_in_turns_are_one_chain_that_both_read_alike(home: Home, journal: Journal) -> None:
    quick = open_journal(home, "movies", CLOCK)
    assert isinstance(quick, QuickJournal)
    written = [writer.append(note(number)) for number, writer in enumerate([quick, journal, quick, quick, journal])]
    assert quick.entries() == journal.entries() == written
    assert journal.verify() == 5


def test_each_application_reads_its_own_entries_and_all_share_the_chain(home: Home, journal: Journal) -> None:
    journal.append(note(1))
    articles = open_journal(home, "articles", CLOCK)
    articles.append(note(2))
    assert [entry.version for entry in articles.entries()] == [2]
    assert journal.verify() == 2


def test_writers_at_once_follow_one_another(home: Home, journal: Journal) -> None:
    program = (
        "from contracts.home import Home; from pathlib import Path\n"
        "from release.journal.quick_journal import open_journal\n"
        "from release.journal.entries import Action, Note, Phase\n"
        f"journal = open_journal(Home(Path({str(home.root)!r})), 'movies')\n"
        "for _ in range(20): journal.append(Note(Action.OBSERVE, Phase.DONE))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert journal.verify() == 60


def test_a_journal_that_is_not_there_yet_is_made_by_who_knows_how(home: Home) -> None:
    assert isinstance(open_journal(home, "movies"), Journal)


def test_a_table_of_another_slatework_is_left_to_who_knows_what_to_do(home: Home, journal: Journal) -> None:
    with closing(sqlite3.connect(home.journal_database)) as database:
        database.execute("UPDATE journal_version SET version_num = '0001'")
        database.execute("DROP TRIGGER journal_refuses_elsewhere")  # of the schema after it
        database.commit()
    assert isinstance(open_journal(home, "movies"), Journal)


def test_a_journal_in_another_database_is_left_to_who_knows_how_to_reach_it(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLATE_JOURNAL_URL", "postgresql://ada@127.0.0.1:1/journal")
    with pytest.raises(WorkspaceError, match=r"127\.0\.0\.1"):
        open_journal(home, "movies")


def test_a_file_that_somebody_holds_is_an_error_and_nothing_is_written(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_journal, "LOCK_TIMEOUT_S", 0.01)
    quick = open_journal(home, "movies")
    with closing(sqlite3.connect(home.journal_database, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceError, match="locked"):
            quick.append(note(1))
    assert journal.entries() == []


def test_opening_it_imports_no_database_library(home: Home, journal: Journal) -> None:
    program = (
        "import sys; from contracts.home import find_home\n"
        "from release.journal.quick_journal import open_journal\n"
        "open_journal(find_home(), 'movies').entries(); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
