"""Journals of every schema since the first, as they were written then; today's code takes them over without loss."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal.entries import SCHEMA_VERSIONS, Action, Note, Phase
from release.journal.journal import Journal

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


def schema(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {" ".join(sql.split()) for (sql,) in rows}
