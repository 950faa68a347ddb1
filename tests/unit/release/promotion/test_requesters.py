"""Who asks, and whether they may, read from entries made by hand."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from release.journal.entries import Action, Entry, Phase
from release.journal.view import JournalView
from release.promotion.requesters import (
    TOKEN_HOLDS,
    UNKNOWN_TOKEN,
    command_line_requester,
    hashed_token,
    reason_not_allowed,
    requester_in_registry,
    requester_of_token,
)

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
ADA = hashed_token("correct horse")


def shown(version: int, requester: str = ADA, action: Action = Action.IDENTIFY, phase: Phase = Phase.DONE) -> Entry:
    entry = Entry(action, phase, version=version, requester=requester, id=1, ts=MOMENT, app="movies", previous_hash="")
    assert entry.version == version
    return entry


def view_of(entries: Iterable[Entry]) -> JournalView:
    return JournalView.of(replace(entry, id=number) for number, entry in enumerate(entries, start=1))


def test_a_token_is_named_by_its_sha256_where_it_is_on_the_list_and_not_at_all_elsewhere() -> None:
    assert hashed_token("correct horse") == "token:" + sha256(b"correct horse").hexdigest()
    assert requester_of_token(" correct horse\n", [ADA]) == ADA
    assert requester_of_token("wrong horse", [ADA]) == requester_of_token("correct horse", []) == UNKNOWN_TOKEN


def test_who_types_is_the_user_of_the_process_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLATE_TOKEN", raising=False)
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert command_line_requester([]) == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def test_a_task_of_a_dag_asks_in_the_name_of_the_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLATE_DAG", "refresh_features")
    assert command_line_requester(()) == "dag:refresh_features"


def test_who_types_with_a_token_is_whom_it_stands_for_where_there_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLATE_TOKEN", "correct horse")
    assert command_line_requester([ADA]) == ADA
    assert command_line_requester(["cli:ada"]) == UNKNOWN_TOKEN
    assert command_line_requester([]).startswith("cli:")


@pytest.mark.parametrize("requester", ["cli:bob", "mlflow", UNKNOWN_TOKEN, "cli:ad"])
def test_who_is_not_on_the_list_is_told_why_and_without_a_list_everybody_may(requester: str) -> None:
    assert reason_not_allowed(requester, []) == ""
    assert "promotion.allowed_requesters" in reason_not_allowed(requester, ["cli:ada", ADA])


@pytest.mark.parametrize("requester", ["cli:ada", ADA, "training"])
def test_who_is_on_the_list_may_and_so_may_a_training(requester: str) -> None:
    assert reason_not_allowed(requester, ["cli:ada", ADA]) == ""


def test_a_token_holds_for_its_version_until_it_is_decided_on_or_too_old() -> None:
    just = MOMENT + TOKEN_HOLDS
    assert requester_in_registry(view_of([shown(3)]), 3, just) == ADA
    assert requester_in_registry(view_of([shown(3)]), 4, just) == "mlflow"
    assert requester_in_registry(view_of([shown(3)]), 3, just + timedelta(microseconds=1)) == "mlflow"
    assert requester_in_registry(view_of([shown(3), shown(3, UNKNOWN_TOKEN)]), 3, just) == UNKNOWN_TOKEN
    assert requester_in_registry(view_of([shown(3), shown(4, "cli:bob", Action.REFUSE)]), 3, just) == ADA
    for action in (Action.REFUSE, Action.STAGE, Action.PROMOTE):
        assert requester_in_registry(view_of([shown(3), shown(3, ADA, action)]), 3, just) == "mlflow"
