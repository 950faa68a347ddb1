"""Journals of every schema since the first, as they were written then; today's code takes them over without loss."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal.checkpoint_schema import TABLE
from release.journal.entries import SCHEMA_VERSIONS, Action, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView
from tests.golden.build_journal import NAME, described

HERE = Path(__file__).resolve().parent
APPEND = (
    "import sys; from pathlib import Path; from contracts.home import Home;"
    "from release.journal.journal import Journal;"
    "from release.journal.entries import Action, Note, Phase;"
    "Journal(Home(Path(sys.argv[1])), 'movies').append(Note(Action.OBSERVE, Phase.DONE))"
)


def version(number: int) -> str:
    return (HERE / f"journal_v{number}.sql").read_text(encoding="utf-8")


@pytest.fixture
def home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SLATE_JOURNAL_URL", raising=False)
    home.root.mkdir()
    return home


def write(home: Home, script: str) -> None:
    connection = sqlite3.connect(home.journal_database)
    connection.executescript(script)
    connection.close()


def content(home: Home) -> list[tuple]:
    connection = sqlite3.connect(home.journal_database)
    rows = connection.execute("SELECT * FROM journal ORDER BY id").fetchall()
    connection.close()
    return rows


def version_of(home: Home) -> str:
    connection = sqlite3.connect(home.journal_database)
    ((number,),) = connection.execute("SELECT version_num FROM journal_version").fetchall()
    connection.close()
    return number


@pytest.mark.parametrize("number", [1, 2, 3])  # 0003 was retired: it is taken back to 0002
def test_a_journal_of_every_version_so_far_is_taken_over_without_loss(home: Home, number: int) -> None:
    write(home, version(number))
    before = content(home)
    journal = Journal(home, "movies")
    assert content(home) == before
    assert journal.verify().n_entries == 7
    assert [entry.id for entry in journal.entries()] == [1, 2, 3, 4, 6, 7]
    assert journal.view().production.release_id == "r-00000000000a"
    assert journal.view().registry_state.aliases == {"production": 1}
    assert Journal(home, "shop").entries()[0].reason == "zu schlecht: Müllers Töpfe ☃"
    journal.append(Note(Action.OBSERVE, Phase.DONE))
    assert journal.verify().n_entries == 8
    assert version_of(home) == SCHEMA_VERSIONS[-1]


def test_what_the_newest_schema_refuses_is_refused_in_a_journal_taken_over(home: Home) -> None:
    write(home, version(1))
    Journal(home, "movies")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        write(home, "INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE id = 3;")


def test_a_changed_entry_of_an_old_journal_is_still_found(home: Home) -> None:
    write(home, version(1).replace("zu schlecht", "gut genug"))
    with pytest.raises(ArtefactError, match="entry 5 does not follow"):
        Journal(home, "movies").verify()


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_processes_that_open_an_old_journal_at_once_all_succeed(
    home: Home, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, where: str
) -> None:
    if where == "postgres":
        monkeypatch.setenv("SLATE_JOURNAL_URL", request.getfixturevalue("postgres_url"))
        n_before = 0  # no release wrote the first schema there: they make the newest together
    else:
        write(home, version(1))
        n_before = 7
    command = [sys.executable, "-c", APPEND, str(home.root)]
    running = [subprocess.Popen(command, cwd=HERE.parents[1], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in running] == [""] * 3
    journal = Journal(home, "movies")
    assert journal.verify().n_entries == n_before + 3
    journal.close()


@pytest.mark.parametrize("before", [None, 1, 3])
def test_a_journal_has_the_schema_of_the_newest_golden_file_whatever_it_was_before(
    home: Home, before: int | None
) -> None:
    if before:
        write(home, version(before))
    Journal(home, "movies")
    today, golden = sqlite3.connect(home.journal_database), sqlite3.connect(":memory:")
    golden.executescript(version(len(SCHEMA_VERSIONS)))
    assert schema(today) == schema(golden)
    today.close()
    golden.close()


def test_a_journal_of_every_action_comes_to_what_it_came_to_when_its_checkpoint_was_kept(home: Home) -> None:
    """Where this fails, entries are folded in another way: `checkpoints.VIEW` needs another number, and a new file."""
    write(home, (HERE / f"{NAME}.sql").read_text(encoding="utf-8"))
    expected = json.loads((HERE / f"{NAME}.json").read_text(encoding="utf-8"))
    journal = Journal(home, "movies")
    view = journal.view()
    assert described(view) == expected
    assert described(JournalView.of(journal.entries())) == expected
    assert view.n_kept == view.n_entries - 1
    journal.verify()


def test_the_journal_of_every_action_leaves_no_part_of_a_checkpoint_empty(home: Home) -> None:
    write(home, (HERE / f"{NAME}.sql").read_text(encoding="utf-8"))
    entries, view = Journal(home, "movies").entries(), Journal(home, "movies").view()
    assert {entry.action for entry in entries} == set(Action)
    assert {entry.phase for entry in entries} == set(Phase)
    steps = [entry.figures["step"] for entry in entries if entry.action is Action.CANARY]
    assert set(steps) == {"start", "share", "restore"}
    parts = (view.staging, view.sighting, view.intents, view.tokens, view.canary_entries, view.moves.older.way)
    assert all(parts)
    assert [move.is_rollback for move in view.moves.recent].count(True) == 1
    at_checkpoint = entries[-2]
    assert max(entry.ts for entry in entries[:-1]) > at_checkpoint.ts


def test_the_golden_checkpoints_stand_in_the_table_that_is_made_today(home: Home) -> None:
    write(home, (HERE / f"{NAME}.sql").read_text(encoding="utf-8"))
    with closing(sqlite3.connect(home.journal_database)) as golden:
        before = schema(golden)
        golden.execute(f"DROP TABLE {TABLE}")
    Journal(home, "movies").verify(since_last=True)  # makes it
    with closing(sqlite3.connect(home.journal_database)) as today:
        assert schema(today) == before


def schema(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {" ".join(sql.split()) for (sql,) in rows}
