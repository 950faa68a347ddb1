"""What one gate says, and what all of them come to."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from contracts.errors import PromotionRefused
from release.gates.acceptance import read_acceptances
from release.gates.gate import Gate, distinct_texts, failure_sentences, failures_first, outcome, without_effect

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
    assert failure_sentences((SOUND, LOW)) == "ndcg: NDCG@10 fell. `--accept` does not let it pass."


def test_a_gate_that_failed_names_the_parameter_to_change_and_whether_words_let_it_pass() -> None:
    narrow = Gate("coverage", False, "Coverage fell.", limits=("promotion.max_relative_loss_coverage",))
    assert narrow.why == (
        "Coverage fell. Its limit: `promotion.max_relative_loss_coverage` in params.yaml. "
        "`--accept` does not let it pass."
    )
    moved = Gate("drift", False, "It moved.", limits=("promotion.drift.max_psi",), acceptable=True)
    assert moved.why == (
        "It moved. Its limit: `promotion.drift.max_psi` in params.yaml. "
        "To take it nevertheless: `slate promote VERSION --accept drift=REASON`."
    )
    assert moved.taken("Christmas").why == "It moved. Accepted: Christmas"
    assert SOUND.why == "Whole."


def test_what_was_accepted_for_nothing_is_told_with_the_reason() -> None:
    moved = Gate("drift", False, "It moved.", acceptable=True)
    assert without_effect({"drift": "Christmas"}, [moved.taken("Christmas")]) == ()
    assert without_effect({"drift": "x", "ndcg": "y"}, [replace(moved, passed=True), LOW]) == (
        "`--accept drift` changed nothing: the gate was passed without it.",
        "`--accept ndcg` changed nothing: it failed for what words do not let pass.",
    )
    assert without_effect({"drift": "x"}, [FEW]) == (
        "`--accept drift` changed nothing: the gate was not judged, which keeps nobody out.",
    )
    assert without_effect({"drift": "x"}, []) == ("`--accept drift` changed nothing: this gate was not asked.",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coverage", "The gate `coverage` cannot be accepted."),
        ("covrage=why", "There is no gate `covrage` to accept."),
        ("of the same data", "There is no gate `of the same data` to accept."),
        ("drift", "`--accept drift` gives no reason"),
        ("drift= ", "`--accept drift` gives no reason"),
    ],
)
def test_an_acceptance_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(PromotionRefused, match=re.escape(said)):
        read_acceptances([text])


def test_an_acceptance_names_its_gate_and_its_reason() -> None:
    assert read_acceptances(["drift=Christmas = sales", "ndcg=read"]) == {"drift": "Christmas = sales", "ndcg": "read"}


def test_two_figures_that_are_compared_are_never_written_alike_unless_they_are() -> None:
    assert distinct_texts(-0.053, -0.05, "+") == ("-0.0530", "-0.0500")
    assert distinct_texts(0.7199999, 0.72) == ("0.7199999", "0.7200000")
    assert distinct_texts(0.0, 0.0, "+") == ("+0.0000", "+0.0000")
