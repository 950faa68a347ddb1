"""How a decision reads: in MLflow, in the journal, in a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from release.gates.gate import GATES, Gate
from release.promotion.decision import TAG_LENGTH, Decision
from release.registry.state import Stage

MOMENT = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
NDCG = Gate("ndcg", False, "NDCG@10 fell | and how.", -0.07, -0.05, -0.1234567, -0.02, 1234)
SOUND = Gate("artefacts", passed=True, sentence="Whole.")


def decision(*gates: Gate, reason: str = "NDCG@10 fell.") -> Decision:
    return Decision(3, Stage.PRODUCTION, False, reason, "r-000000000003", "g3", "ada", gates)


def test_the_description_says_what_failed_in_whole_sentences_and_then_every_figure_failures_first() -> None:
    few = Gate.not_judged("ndcg_cold_session", "12 visitors are too few.", n=12)
    text = decision(SOUND, few, NDCG).comment(MOMENT).decision
    head, sentences, artifact, table = text.split("\n\n")
    assert head == (
        "refused for Production at 2026-11-01 12:30 UTC: 1 of 3 gates failed (ndcg), 1 not judged (ndcg_cold_session), "
        "1 passed."
    )
    assert sentences.splitlines() == [
        "- **FAILED** `ndcg`: NDCG@10 fell | and how. `--accept` does not let it pass.",
        "- **not judged** `ndcg_cold_session`: 12 visitors are too few.",
    ]
    assert "`decisions/20261101T123000Z-production-refused.md`" in artifact
    assert table.splitlines() == [
        "| verdict | gate | value | 95% interval | threshold | n |",
        "| --- | --- | --- | --- | --- | --- |",
        "| FAILED | ndcg | -0.0700 | -0.1235 to -0.0200 | -0.0500 | 1,234 |",
        "| not judged | ndcg_cold_session |  |  |  | 12 |",
        "| passed | artefacts |  |  |  |  |",
    ]


def test_a_refusal_without_gates_has_no_table_and_no_artifact() -> None:
    comment = decision().comment(MOMENT)
    assert comment.decision.endswith("UTC: NDCG@10 fell.")
    assert comment.artifacts == {}


def test_a_handful_of_tags_and_an_artifact_with_every_sentence() -> None:
    comment = decision(SOUND, NDCG).comment(MOMENT)
    assert comment.tags == {"slate.decision": "refused", "slate.decision.reason": "NDCG@10 fell."}
    (page,) = comment.artifacts.values()
    assert "| passed | artefacts |  |  |  |  | Whole. |" in page
    assert r"| FAILED | ndcg | -0.0700 | -0.1235 to -0.0200 | -0.0500 | 1,234 | NDCG@10 fell \| and how. " in page


def test_whatever_the_gates_say_fits_into_the_registry_and_is_whole_in_the_artifact() -> None:
    endless = [Gate(name, False, "why | " * 5000, -0.123456, 0.123456, -0.2, 0.2, 10**9) for name in GATES]
    comment = decision(*endless, reason="because " * 5000).comment(MOMENT)
    assert len(comment.decision) < 4900  # the description is limited to 5000, and somebody's own words come first
    assert max(len(value) for value in comment.tags.values()) <= TAG_LENGTH
    (page,) = comment.artifacts.values()
    assert page.count("why") == 5000 * len(GATES) + 1


def test_sentences_that_do_not_fit_are_left_out_whole() -> None:
    gates = [Gate(name, False, f"{name} is {'much ' * 60}too low.") for name in GATES]
    lines = decision(*gates).comment(MOMENT).decision.split("\n\n")[1].splitlines()
    assert 3 < len(lines) < len(GATES)
    assert all(line.endswith("too low. `--accept` does not let it pass.") for line in lines)


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
