"""What one gate says, and what all of them come to."""

from __future__ import annotations

from release.gates.gate import Gate, failure_sentences, failures_first, outcome, told_apart

SOUND = Gate("artefacts", passed=True, sentence="Whole.")
LOW = Gate("ndcg", passed=False, sentence="NDCG@10 fell.")
FEW = Gate.not_judged("drift", "nothing is in production to compare with.")


def test_not_judged_is_a_verdict_of_its_own_which_keeps_nobody_out() -> None:
    assert (FEW.verdict, FEW.passed, FEW.to_json()["verdict"]) == ("not judged", True, "not judged")
    assert failure_sentences((SOUND, FEW)) == ""


def test_failed_gates_come_first_and_are_marked() -> None:
    ordered = failures_first((SOUND, FEW, LOW))
    assert [gate.cells["verdict"] for gate in ordered] == ["FAILED", "not judged", "passed"]


def test_the_outcome_names_what_failed_and_what_was_not_judged() -> None:
    assert outcome((SOUND, FEW, LOW)) == "1 of 3 gates failed (ndcg), 1 not judged (drift), 1 passed."
    assert outcome((SOUND, FEW)) == "1 not judged (drift), 1 passed."
    assert outcome((SOUND,)) == "1 passed."
    assert failure_sentences((SOUND, LOW)) == "ndcg: NDCG@10 fell."


def test_two_figures_that_are_compared_are_never_written_alike_unless_they_are() -> None:
    assert told_apart(-0.053, -0.05, "+") == ("-0.0530", "-0.0500")
    assert told_apart(0.7199999, 0.72) == ("0.7199999", "0.7200000")
    assert told_apart(0.0, 0.0, "+") == ("+0.0000", "+0.0000")
