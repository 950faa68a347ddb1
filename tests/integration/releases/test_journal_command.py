"""`slate journal` as somebody types it, on a journal that was kept for a day."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from cli.releases import journal as journal_command
from contracts.clock import FixedClock
from contracts.home import Home
from release.journal.checkpoint_schema import TABLE
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from tests.promotion_worlds import CHECKOUT

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def note_at(home: Home, hours: float, note: Note) -> None:
    Journal(home, "movies", FixedClock(NOON + timedelta(hours=hours))).append(note)


@pytest.fixture
def slate(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Runs one command on the journal; an answer is (exit code, output)."""
    for name in ("SLATE_JOURNAL_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(CHECKOUT)
    first = Note(
        Action.PROMOTE, Phase.DONE, "r-a", "g-a1", 1, epoch=1, requester="cli:ada", reason="Every gate passed."
    )
    note_at(home, 0, first)
    note_at(
        home,
        1,
        replace(first, action=Action.REFRESH, generation_id="g-a2", epoch=2, requester="refresh", reason="Fresher."),
    )
    note_at(home, 2, replace(first, action=Action.STAGE, release_id="r-b", generation_id="g-b1", version=2, epoch=None))
    note_at(home, 3, Note(Action.PROMOTE, Phase.DONE, "r-b", "g-b1", 2, epoch=3, requester="mlflow", reason="Better."))
    app = typer.Typer()
    app.command("other")(lambda: None)  # with one command alone, typer leaves its name out
    journal_command.add_to(app)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["journal", *words], terminal_width=200)
        return done.exit_code, done.output

    return run


def test_without_a_word_it_lists_the_latest_entries(slate) -> None:
    code, listed = slate("--limit", "2")
    assert code == 0
    assert [line.split()[0] for line in listed.splitlines()] == ["id", "3", "4"]
    assert [entry["id"] for entry in json.loads(slate("--json", "--limit", "0")[1])] == [1, 2, 3, 4]


def test_what_was_in_production_at_a_moment_says_since_when_by_whom_and_why(slate) -> None:
    code, text = slate("--at", "2026-11-01T14:30+00:00")
    assert code == 0
    _, production, generation, staging = text.splitlines()
    assert production.startswith(
        "production  release r-a generation g-a2 (version 1), since 2026-11-01T12:00:00+00:00 "
    )
    assert production.endswith(" by cli:ada, promote: Every gate passed.")
    assert generation == "            this generation since 2026-11-01T13:00:00+00:00 by refresh, refresh: Fresher."
    assert staging.startswith(
        "staging     release r-b generation g-b1 (version 2), since 2026-11-01T14:00:00+00:00 by "
    )


def test_the_same_moment_in_any_zone_is_the_same_answer(slate) -> None:
    in_utc, in_berlin = (
        json.loads(slate("--json", "--at", time)[1]) for time in ("2026-11-01T12:30Z", "2026-11-01T13:30+01:00")
    )
    assert in_utc["production"] == in_berlin["production"]
    assert (in_utc["production"]["generation_id"], in_utc["staging"], in_utc["switching"]) == ("g-a1", None, None)


def test_before_the_first_promotion_it_says_that_there_was_nothing(slate) -> None:
    code, text = slate("--at", "2026-11-01T11:59:59Z")
    assert code == 0
    assert "production  nothing: no release had been put there\nstaging     nothing" in text


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2026-11-01T12:00", "write 2026-11-01T12:00:00Z for UTC"),
        ("2026-11-01", "names no zone"),
        ("noon", "is no time"),
    ],
)
def test_a_time_that_could_mean_several_is_refused(slate, time: str, told: str) -> None:
    code, text = slate("--at", time)
    assert code == 2
    assert told in " ".join(text.replace("│", " ").split())


def test_verify_counts_the_entries_and_says_what_it_cannot_know(slate, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = slate("verify")
    assert code == 0
    assert text.startswith(
        "4 entries, each follows from the one before; some may be cut off at the end: MLflow was told"
    )
    whole = {"entries": 4, "checked_from": 1, "sound": True, "kept_elsewhere": None, "retired_checkpoints": []}
    assert json.loads(slate("verify", "--json")[1]) == whole
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert "cut off at the end: MLflow cannot be reached at http://127.0.0.1:1" in slate("verify")[1]


def test_a_check_since_the_last_one_says_from_where_it_looked(slate, home: Home) -> None:
    assert json.loads(slate("verify", "--since-last", "--json")[1])["checked_from"] == 1
    note_at(home, 4, Note(Action.RECORD, Phase.DONE))
    checked = json.loads(slate("verify", "--since-last", "--json")[1])
    assert (checked["entries"], checked["checked_from"]) == (5, 4)
    assert "5 entries, each from entry 5 on follows from the one before" in slate("verify", "--since-last")[1]


def test_a_wrong_checkpoint_is_named_beside_sound_entries_and_removed_when_asked(slate, home: Home) -> None:
    slate("verify", "--since-last")
    connection = sqlite3.connect(home.journal_database)
    connection.executescript(f"DROP TRIGGER {TABLE}_refuse_change; UPDATE {TABLE} SET digest = '0'")
    connection.close()
    code, _ = slate("verify")
    assert code == 1
    code, text = slate("verify", "--retire")
    assert code == 0
    assert "the checkpoint at entry 4 (chain) was not what they come to, and is removed" in text
    assert slate("verify")[0] == 0
    assert slate("verify", "--retire", "--since-last")[0] == 2
