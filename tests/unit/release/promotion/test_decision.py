"""How a decision reads: in MLflow, in the journal, in a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from release.gates.gate import GATES, TAG_LENGTH, Gate
from release.promotion.decision import Decision
from release.registry.state import Stage

MOMENT = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
NDCG = Gate("ndcg", False, "NDCG@10 fell | and how.", -0.07, -0.05, -0.1234567, -0.02, 1234)
SOUND = Gate("artefacts", passed=True, sentence="Whole.")


def decision(*gates: Gate, reason: str = "NDCG@10 fell.") -> Decision:
    return Decision(3, Stage.PRODUCTION, False, reason, "r-000000000003", "g3", "ada", gates)


def test_the_description_holds_a_table_with_a_row_per_gate() -> None:
    text = decision(SOUND, NDCG).comment(MOMENT).decision
    head, table = text.split("\n\n")
    assert head == "refused for Production at 2026-11-01 12:30 UTC: NDCG@10 fell."
    assert table.splitlines() == [
        "| gate | verdict | value | 95% interval | threshold | n | why |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| artefacts | passed |  |  |  |  | Whole. |",
        r"| ndcg | failed | -0.0700 | -0.1235 to -0.0200 | -0.0500 | 1,234 | NDCG@10 fell \| and how. |",
    ]


def test_a_refusal_without_gates_has_no_table() -> None:
    assert decision().comment(MOMENT).decision.endswith("UTC: NDCG@10 fell.")


def test_a_tag_says_verdict_sentence_and_every_figure() -> None:
    tags = decision(SOUND, NDCG).comment(MOMENT).tags
    assert tags["slate.gate.artefacts"] == "passed: Whole."
    assert tags["slate.gate.ndcg"] == (
        "failed: NDCG@10 fell | and how. [value -0.07, low -0.123457, high -0.02, threshold -0.05, n 1234]"
    )


def test_what_was_not_asked_says_so_over_an_older_answer() -> None:
    tags = decision(SOUND).comment(MOMENT).tags
    assert {name for name in GATES if tags[f"slate.gate.{name}"] == "not asked"} == set(GATES) - {"artefacts"}


def test_whatever_the_gates_say_fits_into_the_registry() -> None:
    endless = [Gate(name, False, "why | " * 5000, -0.123456, 0.123456, -0.2, 0.2, 10**9) for name in GATES]
    comment = decision(*endless, reason="because " * 5000).comment(MOMENT)
    assert len(comment.decision) < 4700  # the description is limited to 5000, and somebody's own words come first
    assert max(len(value) for value in comment.tags.values()) <= TAG_LENGTH
    assert comment.tags["slate.gate.ndcg"].endswith("n 1000000000]")


def test_the_journal_takes_every_figure_and_null_where_there_is_none() -> None:
    first, second = json.loads(json.dumps(decision(SOUND, NDCG).figures))["gates"]
    assert (second["value"], second["low"], second["high"], second["threshold"], second["n"]) == (
        -0.07,
        -0.1234567,
        -0.02,
        -0.05,
        1234,
    )
    assert first["value"] is first["low"] is first["n"] is None
