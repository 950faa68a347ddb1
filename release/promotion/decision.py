"""A decision on a request: what was asked, what the gates said, and how it reads on the version and in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from release.gates.gate import GATES, TAG_LENGTH, Gate
from release.journal.entries import Action, Note, Phase
from release.promotion.write_back import VersionComment
from release.registry.state import Stage

# A version's description holds 5000 characters, and somebody's own words stand there first; the tags say it all.
REASON_LENGTH = 600
TABLE_LENGTH = 4000
SENTENCE_LENGTH = 100  # in a table that would be longer
NOT_ASKED = "not asked"
NOT_REGISTERED = "It was not made by `slate register`, so there is no release behind it."
IN_PRODUCTION_ALREADY = "Its release is in production already."


@dataclass(frozen=True)
class Decision:
    """Accepted or refused, by whom asked, why, and on which figures.

    changes_nothing: it stands where it is wanted already; no gate was asked.
    epoch: of the pointer that it was decided beside; None where no gate was asked.
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

    @property
    def verdict(self) -> str:
        return "accepted" if self.accepted else "refused"

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

    def comment(self, moment: datetime) -> VersionComment:
        """The decision as it stands on the version in the registry."""
        tags = {
            "slate.decision": self.verdict,
            "slate.decision.stage": str(self.stage),
            "slate.decision.reason": self.reason[:TAG_LENGTH],
            "slate.decision.ts": moment.isoformat(timespec="seconds"),
            **{f"slate.gate.{name}": NOT_ASKED for name in GATES},
            **{f"slate.gate.{gate.name}": gate.tag for gate in self.gates},
        }
        reason = _shortened(self.reason, REASON_LENGTH)
        head = f"{self.verdict} for {self.stage} at {moment:%Y-%m-%d %H:%M} UTC: {reason}"
        return VersionComment(tags, "\n\n".join([head, *_markdown_table(self.gates)]))


def _markdown_table(gates: Sequence[Gate]) -> list[str]:
    """The gates as one table of Markdown; nothing where no gate was asked."""
    if not gates:
        return []
    whole = _markdown_rows(gates, TAG_LENGTH)
    return [whole if len(whole) <= TABLE_LENGTH else _markdown_rows(gates, SENTENCE_LENGTH)]


def _markdown_rows(gates: Sequence[Gate], sentence_length: int) -> str:
    rows = [{**gate.cells, "why": _shortened(gate.sentence.replace("|", "\\|"), sentence_length)} for gate in gates]
    lines = [rows[0].keys(), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shortened(text: str, length: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= length else one_line[: length - 1] + "…"
