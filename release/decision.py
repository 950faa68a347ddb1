"""A decision on a request: what was asked, what the gates said, and how it reads on the version and in the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from release.journal import Action, Note, Phase
from release.registry_state import Stage
from release.write_back import Remark

TAG_LENGTH = 5000  # MLflow refuses longer values


@dataclass(frozen=True)
class Gate:
    """One answer. value and threshold are None where the gate is a plain yes or no; the sentence is for people."""

    name: str
    passed: bool
    sentence: str
    value: float | None = None
    threshold: float | None = None

    @property
    def verdict(self) -> str:
        return f"{'passed' if self.passed else 'failed'}: {self.sentence}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """Accepted or refused, by whom asked, why, and on which figures."""

    version: int
    stage: Stage
    accepted: bool
    reason: str
    release_id: str = ""
    generation_id: str = ""
    requester: str = ""
    gates: tuple[Gate, ...] = ()

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

    def remark(self, moment: datetime) -> Remark:
        """The decision as it stands on the version in the registry."""
        tags = {
            "slate.decision": self.verdict,
            "slate.decision.stage": str(self.stage),
            "slate.decision.reason": self.reason[:TAG_LENGTH],
            "slate.decision.ts": moment.isoformat(timespec="seconds"),
            **{f"slate.gate.{gate.name}": gate.verdict[:TAG_LENGTH] for gate in self.gates},
        }
        lines = [f"{self.verdict} for {self.stage} at {moment:%Y-%m-%d %H:%M} UTC: {self.reason}", ""]
        lines += [f"- {gate.name}: {gate.verdict}" for gate in self.gates]
        return Remark(tags, "\n".join(lines).strip())
