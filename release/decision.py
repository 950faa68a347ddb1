"""A decision on a request: what was asked, what the gates said, and how it reads on the version and in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from release.journal import Action, Note, Phase
from release.registry_state import Stage
from release.write_back import Remark

TAG_LENGTH = 5000  # MLflow refuses longer values
# A version's description holds 5000 characters, and somebody's own words stand there first; the tags say it all.
REASON_LENGTH = 600
TABLE_LENGTH = 4000
SENTENCE_LENGTH = 100  # in a table that would be longer
# In the order they are asked; a decision that did not ask one says so, for an older answer may stand on the version.
GATES = (
    "artefacts",
    "golden",
    "validation",
    "index_recall",
    "latency",
    "parity",
    "source",
    "logged_parity",
    "freshness",
    "drift",
    "floor",
    "popular",
    "ndcg",
    "ndcg_cold_popular",
    "ndcg_cold_context",
    "ndcg_cold_session",
    "diversity",
    "novelty",
    "coverage",
    "popularity_share",
)
NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Gate:
    """One answer; the sentence is for people.

    value and threshold are None where the gate is a plain yes or no; low, high: the 95% interval of the value; n: how
    many people, answers or keys it is of.
    """

    name: str
    passed: bool
    sentence: str
    value: float | None = None
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def verdict(self) -> str:
        return "passed" if self.passed else "failed"

    @property
    def cells(self) -> dict[str, str]:
        """The gate as a row of a table, by the columns' names."""
        interval = "" if self.low is None else f"{_figure(self.low)} to {_figure(self.high)}"
        return {
            "gate": self.name,
            "verdict": self.verdict,
            "value": _figure(self.value),
            "95% interval": interval,
            "threshold": _figure(self.threshold),
            "n": _figure(self.n),
            "why": self.sentence,
        }

    @property
    def tag(self) -> str:
        """Verdict, sentence and every figure, as the value of a tag."""
        known = ("value", "low", "high", "threshold", "n")
        figures = [f"{name} {round(getattr(self, name), 6)}" for name in known if getattr(self, name) is not None]
        told = f" [{', '.join(figures)}]" if figures else ""
        return f"{self.verdict}: {self.sentence[: TAG_LENGTH - 200]}{told}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


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
            **{f"slate.gate.{name}": NOT_ASKED for name in GATES},
            **{f"slate.gate.{gate.name}": gate.tag for gate in self.gates},
        }
        reason = _shortened(self.reason, REASON_LENGTH)
        head = f"{self.verdict} for {self.stage} at {moment:%Y-%m-%d %H:%M} UTC: {reason}"
        return Remark(tags, "\n\n".join([head, *_markdown_table(self.gates)]))


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
