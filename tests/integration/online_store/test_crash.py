"""A short form of `make test-crash`: what it comes to at 1,000 rounds is in docs/crash-rounds.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.rounds import run

CHECKOUT = Path(__file__).resolve().parents[3]
ROUNDS = 25


@pytest.mark.slow
def test_nothing_is_mixed_or_lost_however_often_somebody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    outcome = run(ROUNDS, seed=11)
    assert outcome.losses == []
    assert [reader["shown"] for reader in outcome.readers] == [[], []]
    assert outcome.figures["rounds"] == ROUNDS
    assert outcome.figures["killed"] > 3  # about half are; with fewer, the blows come too late to mean anything
    assert outcome.figures["answers"] > ROUNDS
