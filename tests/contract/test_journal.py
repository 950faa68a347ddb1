"""The journal's promise, on each database that it can be kept in: a real SQLite file, and a real Postgres."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, SettingsError, WorkspaceError
from contracts.home import Home
from release.journal.database import Connection
from release.journal.entries import FIRST_HASH, SCHEMA_VERSIONS, Action, Entry, Note, Phase
from release.journal.journal import Journal
from tests.contract.conftest import MOMENT, meddle

CHECKOUT = Path(__file__).resolve().parents[2]
PROMOTED = Note(Action.PROMOTE, Phase.DONE, "r-1", "g-1", version=3, epoch=7, requester="ada", reason="better")
COPIED = "ts, app, action, phase, release_id, generation_id, version, epoch, requester, 'worse', figures, intent_id"
NO_POSTGRES = ["mysql://slate:secret@db/journal", "postgresql://slate:secret@db", "journal.db", "//:x"]


def version_of(database: sa.Engine) -> str:
    with database.connect() as connection:
        return connection.exec_driver_sql("SELECT version_num FROM journal_version").scalar_one()


def test_an_entry_comes_back_as_it_was_noted(journal: Journal, home: Home) -> None:
    journal.append(Note(Action.REFUSE, Phase.DONE, "r-9", figures={"ndcg": 0.25, "gates": [{"name": "ü"}]}))
    again = Journal(home, "movies")
    (entry,) = again.entries()
    assert (entry.id, entry.ts, entry.app, entry.release_id) == (1, MOMENT, "movies", "r-9")
    assert entry.figures == {"ndcg": 0.25, "gates": [{"name": "ü"}]}
    assert (entry.action, entry.phase) == (Action.REFUSE, Phase.DONE)
    again.close()


def test_the_end_of_a_step_names_its_intent(journal: Journal) -> None:
    note = Note(Action.PROMOTE, Phase.INTENT, "r-1", epoch=4)
    intent = journal.append(note)
    end = journal.append(note.ended(Phase.DONE, intent, epoch=5))
    assert (end.intent_id, end.phase, end.release_id, end.epoch) == (intent.id, Phase.DONE, "r-1", 5)


def test_applications_share_the_database_but_not_the_entries(journal: Journal, home: Home) -> None:
    shop = Journal(home, "shop")
    journal.append(PROMOTED)
    shop.append(PROMOTED)
    journal.append(PROMOTED)
    assert [entry.id for entry in journal.entries()] == [1, 3]
    assert [entry.id for entry in shop.entries()] == [2]
    assert shop.verify().n_entries == 3
    shop.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET reason = 'worse'",
        "UPDATE journal SET reason = 'worse' WHERE id = 1",
        "DELETE FROM journal",
        f"INSERT INTO journal SELECT id + 2, {COPIED}, hash, hash FROM journal",
        f"INSERT INTO journal SELECT id + 1, {COPIED}, previous_hash, hash FROM journal",
    ],
)
def test_the_database_itself_refuses_to_change_an_entry(journal: Journal, database: sa.Engine, change: str) -> None:
    journal.append(PROMOTED)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
        connection.exec_driver_sql(change)
    assert [entry.reason for entry in journal.entries()] == ["better"]


def test_replacing_an_entry_is_refused_as_well(journal: Journal, database: sa.Engine) -> None:
    journal.append(PROMOTED)
    if database.dialect.name == "sqlite":  # deletes the row that is in the way, and asks no trigger about that
        change = "INSERT OR REPLACE INTO journal SELECT * FROM journal"
    else:
        change = "TRUNCATE journal"
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as connection:
        connection.exec_driver_sql(change)
    assert journal.verify().n_entries == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET reason = 'worse' WHERE id = 2",
        "UPDATE journal SET action = 'praise' WHERE id = 2",
        "UPDATE journal SET figures = '{' WHERE id = 2",
        "DELETE FROM journal WHERE id = 2",
        "DELETE FROM journal WHERE id = 1",
        f"INSERT INTO journal SELECT 0, {COPIED}, previous_hash, hash FROM journal WHERE id = 1",
        f"INSERT INTO journal SELECT -5, {COPIED}, previous_hash, hash FROM journal WHERE id = 1",
    ],
)
def test_tampering_past_the_triggers_shows_in_the_chain(journal: Journal, database: sa.Engine, change: str) -> None:
    for _ in range(3):
        journal.append(PROMOTED)
    assert journal.verify().n_entries == 3
    meddle(database, change)
    with pytest.raises(ArtefactError, match=r"entry (2|3|0|-5) (does not follow|cannot be understood)"):
        journal.verify()


def test_an_entry_has_its_time_in_utc_whatever_zone_the_clock_is_in(home: Home, database: sa.Engine) -> None:
    """Times are compared as texts in the database."""
    in_berlin = datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1)))
    journal = Journal(home, "movies", FixedClock(in_berlin))
    entry = journal.append(PROMOTED)
    assert (str(entry.ts), journal.entries()) == ("2026-03-01 12:30:00+00:00", [entry])
    with database.connect() as connection:
        assert connection.exec_driver_sql("SELECT ts FROM journal").scalar_one() == "2026-03-01T12:30:00+00:00"
    assert journal.at(in_berlin).production == entry
    assert journal.at(in_berlin - timedelta(microseconds=1)).production is None
    assert journal.verify().n_entries == 1
    journal.close()


def test_what_stood_at_a_moment_is_read_through_one_connection_at_a_time(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(PROMOTED)
    n_open = most = 0
    reading = journal._database.reading

    @contextmanager
    def counted() -> Iterator[Connection]:
        nonlocal n_open, most
        with reading() as connection:
            n_open += 1
            most = max(most, n_open)
            yield connection
            n_open -= 1

    monkeypatch.setattr(journal._database, "reading", counted)
    assert journal.at(MOMENT).since == journal.entry(1)
    assert (most, n_open) == (1, 0)


def test_an_entry_kept_elsewhere_must_be_there(journal: Journal, database: sa.Engine) -> None:
    first, last = journal.append(PROMOTED), journal.append(PROMOTED)
    assert [journal.verify(entry.head).n_entries for entry in (first, last)] == [2, 2]
    meddle(database, "DELETE FROM journal WHERE id = 2")
    assert journal.verify().n_entries == 1
    with pytest.raises(ArtefactError, match="entry 2 is not the one that was kept elsewhere, or is cut off"):
        journal.verify(last.head)


def test_writers_at_the_same_time_make_one_chain(home: Home, database: sa.Engine) -> None:
    def write(number: int) -> None:
        journal = Journal(home, "movies")  # opened at once as well: the first one of them makes the schema
        journal.append(Note(Action.OBSERVE, Phase.DONE, reason=str(number)))
        journal.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    journal = Journal(home, "movies")
    assert journal.verify().n_entries == 40
    assert sorted(int(entry.reason) for entry in journal.entries()) == list(range(40))
    journal.close()


def test_the_schema_is_the_newest_that_there_is_a_migration_for(journal: Journal, database: sa.Engine) -> None:
    from alembic.script import ScriptDirectory

    from release.journal import migrations as journal_migrations

    scripts = ScriptDirectory(next(iter(journal_migrations.__path__)))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(SCHEMA_VERSIONS)
    assert version_of(database) == SCHEMA_VERSIONS[-1]


def test_opening_a_journal_of_the_newest_schema_does_not_load_the_migrations(journal: Journal, home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from contracts.home import Home; "
        "from release.journal.journal import Journal; Journal(Home(Path(sys.argv[1])), 'movies').entries(); "
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(home.root)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(
    journal: Journal, home: Home, database: sa.Engine
) -> None:
    journal.append(PROMOTED)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE journal_version SET version_num = '9999'")
    with pytest.raises(WorkspaceError, match=r"schema version 9999; this Slatework knows 0001 to .*\n.*git pull"):
        Journal(home, "movies")
    assert version_of(database) == "9999"


def test_a_database_that_is_locked_or_away_is_an_error_that_says_where(
    home: Home, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect.name == "sqlite":
        home.journal_database.write_text("not a database, and longer than the header of one")
    else:
        monkeypatch.setenv("SLATE_JOURNAL_URL", "postgresql://slate:secret@127.0.0.1:1/journal")
    with pytest.raises(WorkspaceError, match=r"journal(\.db| cannot).*") as caught:
        Journal(home, "movies")
    assert "secret" not in str(caught.value)
    assert ("SLATE_JOURNAL_URL" in caught.value.next_step) == (database.dialect.name != "sqlite")


def test_each_error_of_a_file_has_its_own_advice(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLATE_JOURNAL_URL", raising=False)
    journal = Journal(home, "movies")

    def advice_when(*statements: str, do: Callable[[], object]) -> str:
        with closing(sqlite3.connect(home.journal_database, isolation_level=None)) as other:
            for statement in statements:
                other.execute(statement)
            with pytest.raises(WorkspaceError) as caught:
                do()
        return caught.value.next_step

    def write_soon() -> None:
        with journal._database.writing(0.01):
            pass

    assert advice_when("BEGIN IMMEDIATE", do=write_soon) == "End the process that holds it."
    assert "restore the file from a backup" in advice_when("DROP TABLE journal", do=journal.entries)
    home.journal_database.unlink()
    home.journal_database.mkdir()
    with pytest.raises(WorkspaceError) as caught:
        journal.entries()
    assert caught.value.next_step == "Mend the permissions of the file and of its folder."


@pytest.mark.parametrize("url", NO_POSTGRES)
def test_an_address_of_another_kind_is_refused_without_its_password(
    home: Home, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SLATE_JOURNAL_URL", url)
    with pytest.raises(SettingsError, match="SLATE_JOURNAL_URL is no address of a Postgres") as caught:
        Journal(home, "movies")
    assert "secret" not in str(caught.value)


def test_an_empty_address_means_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLATE_JOURNAL_URL", "")
    Journal(home, "movies").append(PROMOTED)
    assert home.journal_database.is_file()


def test_the_first_entry_follows_zeros(journal: Journal) -> None:
    assert journal.append(PROMOTED).previous_hash == FIRST_HASH


def test_the_worked_example_of_the_documentation_is_what_is_computed() -> None:
    text = (CHECKOUT / "docs" / "formats" / "journal.md").read_text()
    shown, expected = (re.search(rf"```{kind}\n(.*)\n```", text).group(1) for kind in ("json", "text"))
    values = json.loads(shown)
    parts = {"ts": datetime.fromisoformat(values.pop("ts")), "action": Action(values.pop("action"))}
    entry = Entry(**values, **parts)
    assert entry.computed_hash() == expected == hashlib.sha256(shown.encode()).hexdigest()


def test_the_documentation_names_every_action_and_version() -> None:
    text = (CHECKOUT / "docs" / "formats" / "journal.md").read_text()
    missing = [name for name in (*Action, *SCHEMA_VERSIONS) if f"`{name}`" not in text]
    assert not missing
