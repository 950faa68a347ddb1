"""A decision on a request: what was asked, what the gates said, and how it reads on the version and in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.markdown import markdown_table
from release.gates.gate import Gate, failures_first, outcome
from release.journal.entries import Action, Note, Phase
from release.promotion.write_back import VersionComment
from release.registry.registry import COPY_TAG
from release.registry.state import Stage

DECISION_TAG = "slate.decision"
REASON_TAG = "slate.decision.reason"
REFUSED = "refused"
TAG_LENGTH = 5000  # MLflow refuses longer values
# A version's description holds 5000 characters, and somebody's own words stand there first; what does not fit is left
# out as whole sentences, and the decision's artifact has it.
SENTENCES_LENGTH = 2800
FIGURES = ("value", "95% interval", "threshold", "n")
NOT_REGISTERED = "It was not made by `slate register`, so there is no release behind it."
IN_PRODUCTION_ALREADY = "Its release is in production already."


@dataclass(frozen=True)
class Decision:
    """Accepted or refused, by whom asked, why, and on which figures.

    changes_nothing: it stands where it is wanted already; no gate was asked.
    epoch: of the pointer that it was decided beside; None where no gate was asked.
    remarks: of gates that were accepted in words for nothing, as sentences.
    """

    version: int
    stage: Stage
    accepted: bool
    reason: str
    release_id: str = ""
    generation_id: str = ""
    requester: str = ""
    gates: tuple[Gate, ...] = ()
    changes_nothing: bool = False
    epoch: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        return "accepted" if self.accepted else REFUSED

    @property
    def figures(self) -> dict[str, Any]:
        return {"gates": [gate.to_json() for gate in self.gates]}

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "stage": str(self.stage),
            "verdict": self.verdict,
            "reason": self.reason,
            "release_id": self.release_id,
            "generation_id": self.generation_id,
            "requester": self.requester,
            **self.figures,
        }

    def note(self, action: Action, phase: Phase) -> Note:
        """The decision as the journal takes it."""
        return Note(
            action,
            phase,
            self.release_id or None,
            self.generation_id or None,
            self.version,
            requester=self.requester,
            reason=self.reason,
            figures=self.figures,
        )

    @property
    def summary(self) -> str:
        """What came out, in a sentence; where gates were asked, how many said what."""
        return " ".join([outcome(self.gates), *self.remarks]) if self.gates else self.reason

    def comment(self, moment: datetime) -> VersionComment:
        """The decision as it stands on the version in the registry."""
        tags = {DECISION_TAG: self.verdict, REASON_TAG: self.reason[:TAG_LENGTH]}
        head = f"{self.verdict} for {self.stage} at {moment:%Y-%m-%d %H:%M} UTC: "
        if not self.gates:
            return VersionComment(tags, head + _whole_words(self.reason, SENTENCES_LENGTH))
        gates = failures_first(self.gates)
        name = f"decisions/{moment:%Y%m%dT%H%M%SZ}-{self.stage.lower()}-{self.verdict}.md"
        told = [
            head + self.summary,
            _sentences(gates),
            f"Every gate's sentence: the artifact `{name}` of the source run.",
        ]
        whole = "\n\n".join([head + self.summary, _gate_table(gates, ("verdict", "gate", *FIGURES, "why"))])
        page = "\n\n".join([*filter(None, told), _gate_table(gates, ("verdict", "gate", *FIGURES))])
        return VersionComment(tags, page, {name: f"{whole}\n"})


def copy_comment(original: int) -> VersionComment:
    """What stands on a version that MLflow copied, with everything that stood on the one it copied."""
    tags = {
        COPY_TAG: str(original),
        DECISION_TAG: f"as version {original}",
        REASON_TAG: f"It is a copy of version {original}.",
    }
    text = (
        f"as version {original}: this is a copy of it, which MLflow's button *Promote model* makes. What is asked of "
        f"the copy is asked of version {original}, and the decision stands there."
    )
    return VersionComment(tags, text)


def _sentences(gates: Sequence[Gate]) -> str:
    """What the gates say that were not passed, one below the other, as far as there is room."""
    lines = [
        f"- **{gate.cells['verdict']}** `{gate.name}`: {_one_line(gate.why.removeprefix('Not judged: '))}"
        for gate in gates
    ]
    shown = [line for line, gate in zip(lines, gates, strict=True) if gate.verdict != "passed"]
    while len(shown) > 1 and len("\n".join(shown)) > SENTENCES_LENGTH:
        shown.pop()
    return "\n".join(_whole_words(line, SENTENCES_LENGTH) for line in shown)


def _gate_table(gates: Sequence[Gate], columns: Sequence[str]) -> str:
    return markdown_table([columns, *([_one_line(gate.cells[column]) for column in columns] for gate in gates)])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _whole_words(text: str, length: int) -> str:
    """The text in one line, without the words that do not fit into the length."""
    line = _one_line(text)
    return line if len(line) <= length else f"{line[: length - 1].rpartition(' ')[0]} …"
