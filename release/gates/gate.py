"""A gate: one question that a release must pass before it goes into Staging or Production, and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

TAG_LENGTH = 5000  # MLflow refuses longer values
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


@dataclass(frozen=True)
class Gate:
    """One answer; the sentence is for people.

    judged: False where the question could not be asked, which keeps nobody out and is no pass either.

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
    judged: bool = True

    @classmethod
    def not_judged(cls, name: str, why: str, **figures: Any) -> Gate:
        """A gate that keeps nobody out, because its question cannot be asked; why: a sentence."""
        return cls(name, passed=True, sentence=f"Not judged: {why}", judged=False, **figures)

    @property
    def verdict(self) -> str:
        if not self.judged:
            return "not judged"
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
        in_brackets = f" [{', '.join(figures)}]" if figures else ""
        return f"{self.verdict}: {self.sentence[: TAG_LENGTH - 200]}{in_brackets}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def failure_sentences(gates: Iterable[Gate]) -> str:
    """What the gates that failed say, one sentence behind the other; empty when all of them were passed."""
    return " ".join(gate.sentence for gate in gates if not gate.passed)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
