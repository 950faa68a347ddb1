"""A gate: one question that a release must pass before it goes into Staging or Production, and its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

VERDICTS: Final = ("failed", "not judged", "passed")
# With a reason in words; `ndcg` where nothing can be compared, or where the two exclude differently.
ACCEPTABLE: Final = ("drift", "ndcg")
# For readers, in the order in which `release/gates/gates.py` asks them; a test holds it to that.
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

    limits: the parameters it was held against, as `params.yaml` names them; none where no parameter would change it.
    acceptable: a reason in words lets it pass; accepted: that reason, where it was needed and given.
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
    limits: tuple[str, ...] = ()
    acceptable: bool = False
    accepted: str = ""

    @classmethod
    def not_judged(cls, name: str, why: str, **figures: Any) -> Gate:
        """A gate that keeps nobody out, because its question cannot be asked; why: a sentence."""
        return cls(name, passed=True, sentence=f"Not judged: {why}", judged=False, **figures)

    def taken(self, reason: str, *, judged: bool = True) -> Gate:
        """This gate, which failed, let pass for the reason that somebody gave."""
        told = f"{self.sentence} Accepted: {reason}"
        return replace(self, passed=True, sentence=told, accepted=reason, judged=judged)

    @property
    def verdict(self) -> str:
        if not self.judged:
            return "not judged"
        return "passed" if self.passed else "failed"

    @property
    def why(self) -> str:
        """The sentence; of a gate that failed with the parameter to change, and whether `--accept` lets it pass."""
        return self.sentence if self.passed else " ".join([self.sentence, *self._ways_out()])

    def _ways_out(self) -> Iterator[str]:
        if self.limits:
            yield f"Its limit: {' and '.join(f'`{name}`' for name in self.limits)} in params.yaml."
        if self.acceptable:
            yield f"To take it nevertheless: `slate promote VERSION --accept {self.name}=REASON`."
        else:
            yield "`--accept` does not let it pass."

    @property
    def cells(self) -> dict[str, str]:
        """The gate as a row of a table, by the columns' names."""
        interval = "" if self.low is None else f"{_figure(self.low)} to {_figure(self.high)}"
        return {
            "verdict": "FAILED" if self.verdict == "failed" else self.verdict,
            "gate": self.name,
            "value": _figure(self.value),
            "95% interval": interval,
            "threshold": _figure(self.threshold),
            "n": _figure(self.n),
            "why": self.why,
        }

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict, "why": self.why}


def failures_first(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """The gates that failed, then those that were not judged, then those that were passed; each in the order asked."""
    return tuple(sorted(gates, key=lambda gate: VERDICTS.index(gate.verdict)))


def failure_sentences(gates: Iterable[Gate]) -> str:
    """What the gates that failed say, by their names, one sentence behind the other; empty when none failed."""
    return " ".join(f"{gate.name}: {gate.why}" for gate in gates if not gate.passed)


def without_effect(accepted: Mapping[str, str], gates: Sequence[Gate]) -> tuple[str, ...]:
    """Of each gate that was accepted in words and is decided without them, a sentence that says so.

    accepted: the reason, by the gate's name.
    """
    asked = {gate.name: gate for gate in gates}
    return tuple(
        f"`--accept {name}` changed nothing: {_decided_by_itself(asked.get(name))}."
        for name in accepted
        if name not in asked or not asked[name].accepted
    )


def _decided_by_itself(gate: Gate | None) -> str:
    if gate is None:
        return "this gate was not asked"
    if not gate.passed:
        return "it failed for what words do not let pass"
    return "the gate was not judged, which keeps nobody out" if not gate.judged else "the gate was passed without it"


def outcome(gates: Sequence[Gate]) -> str:
    """How many gates failed, were not judged and were passed, with the names of the first two, as one sentence."""
    names = {verdict: [gate.name for gate in gates if gate.verdict == verdict] for verdict in VERDICTS}
    failed, not_judged, passed = names["failed"], names["not judged"], names["passed"]
    parts = [f"{len(failed)} of {len(gates)} gates failed ({', '.join(failed)})"] if failed else []
    parts += [f"{len(not_judged)} not judged ({', '.join(not_judged)})"] if not_judged else []
    parts += [f"{len(passed)} passed"] if passed else []
    return f"{', '.join(parts)}."


def distinct_texts(measured: float, limit: float, sign: str = "") -> tuple[str, str]:
    """Two figures that are compared, with four digits, or as many more as it takes to tell them apart.

    sign: `+` writes the sign of what is not negative, too.
    """
    for digits in range(4, 10):
        texts = f"{measured:{sign}.{digits}f}", f"{limit:{sign}.{digits}f}"
        if texts[0] != texts[1]:
            return texts
    return f"{measured:{sign}.4f}", f"{limit:{sign}.4f}"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
