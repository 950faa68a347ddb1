"""Gates on quality: against fixed floors, and against the release in production on the same people.

The floors come from what was measured when the release was built. The comparison is made anew
(`release.evaluation.comparison`), and is of people: differences per person, their mean, and the 95% interval of a
paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from contracts.errors import ArtefactError, NotComparable
from contracts.settings.evaluate import PROMOTION_CUTOFF
from contracts.settings.promotion import PromotionSettings
from contracts.tables import read_parquet
from recommender.judging.intervals import PerPerson
from release.bundle.bundle import MEASURED
from release.bundle.manifest import REBUILD
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import COLD_CONTEXT, COLD_POPULAR, COLD_SESSION, WARM
from release.evaluation.comparison import Comparison, compare
from release.evaluation.evaluation import SLATES, values_of
from release.evaluation.report import PER_USER
from release.evaluation.summary import Bootstrap
from release.gates.gate import Gate, distinct_texts
from release.gates.loss_limits import LOSS_LIMITS, loss_limits

NDCG: Final = f"ndcg_at_{PROMOTION_CUTOFF}"
TITLE: Final = f"NDCG@{PROMOTION_CUTOFF}"
POPULARITY: Final = ("popular", "popular_recent")
TIERS: Final = {
    COLD_POPULAR: "newcomers nothing is known of",
    COLD_CONTEXT: "newcomers with a context",
    COLD_SESSION: "visitors after their first clicks",
}
COMPARED: Final = ("ndcg", *(f"ndcg_{tier}" for tier in TIERS), *LOSS_LIMITS)


@dataclass(frozen=True)
class QualityGates:
    """Asks how good a release is.

    accepted: why somebody takes one that cannot be compared, or that excludes differently and seems worse by that;
    empty where nobody does.
    """

    settings: PromotionSettings
    bootstrap: Bootstrap
    accepted: str = ""

    def evaluate(self, bundle: OpenBundle, champion: OpenBundle | None) -> tuple[Gate, ...]:
        """Every gate, in a fixed order; those that need a release in production say so where there is none."""
        return (*self._floors(bundle.folder), *self._compared(bundle, champion))

    def _floors(self, bundle: Path) -> tuple[Gate, ...]:
        try:
            measured = _MeasuredFigures.load(bundle)
        except ArtefactError as error:
            return tuple(Gate(name, passed=False, sentence=error.problem) for name in ("floor", "popular"))
        return (self._floor(measured), self._not_worse_than_popular(measured))

    def _floor(self, measured: _MeasuredFigures) -> Gate:
        least = self.settings.min_ndcg
        ndcg = self.bootstrap.interval(measured.of(SLATES), WARM, SLATES, NDCG)
        mean, limit = distinct_texts(ndcg.mean, least)
        sentence = f"{TITLE} of people with history was measured as {mean}; at least {limit} is asked."
        figures = (ndcg.mean, least, ndcg.low, ndcg.high, measured.n_people)
        return Gate("floor", ndcg.mean >= least, sentence, *figures, limits=("promotion.min_ndcg",))

    def _not_worse_than_popular(self, measured: _MeasuredFigures) -> Gate:
        popularity = measured.best_of(POPULARITY)
        if popularity is None:
            return Gate.not_judged("popular", "the release has no generator of popular items.")
        gain = self.bootstrap.difference(measured.of(SLATES), measured.of(popularity), WARM, popularity, NDCG)
        least, margin = self.settings.min_gain_over_popular, -self.settings.max_ndcg_loss
        mean, limit = distinct_texts(gain.mean, least, "+")
        enough = gain.mean >= least
        against = f"{TITLE} is {mean} against {popularity} alone"
        sentence = (
            f"{against}; {_requirement(gain.low, margin)}" if enough else f"{against}; at least {limit} is asked."
        )
        passed, threshold = enough and gain.low > margin, margin if enough else least
        limit = "promotion.max_ndcg_loss" if enough else "promotion.min_gain_over_popular"
        figures = (gain.mean, threshold, gain.low, gain.high, measured.n_people)
        return Gate("popular", passed, sentence, *figures, limits=(limit,))

    def _compared(self, bundle: OpenBundle, champion: OpenBundle | None) -> Iterator[Gate]:
        if champion is None:
            return _not_judged("nothing is in production to compare with.")
        try:
            comparison = compare(bundle, champion)
        except NotComparable as error:
            return _not_judged("the two releases are not comparable.", self._not_comparable(error))
        except ArtefactError as error:
            return _not_judged("there was no comparison.", Gate("ndcg", passed=False, sentence=error.problem))
        return self.against_champion(comparison)

    def against_champion(self, comparison: Comparison) -> Iterator[Gate]:
        """The gates that a comparison answers: the rule, each group of newcomers, the loss limits."""
        yield self._not_worse(comparison)
        for tier, people in TIERS.items():
            yield self._tier(comparison, tier, people)
        yield from loss_limits(comparison, self.settings)

    def _not_worse(self, comparison: Comparison) -> Gate:
        superior = self.settings.rule == "superiority"
        least = 0.0 if superior else -self.settings.max_ndcg_loss
        limit = "promotion.rule" if superior else "promotion.max_ndcg_loss"
        gate = self._difference("ndcg", comparison, WARM, "people with history", least, limit)
        if not comparison.note:
            return gate
        gate = replace(gate, sentence=f"{gate.sentence} {comparison.note}")
        if gate.passed:
            return gate
        return gate.taken(self.accepted) if self.accepted else replace(gate, acceptable=True)

    def _tier(self, comparison: Comparison, tier: str, people: str) -> Gate:
        name, least = f"ndcg_{tier}", -self.settings.max_tier_loss
        n_people = len(comparison.values(tier, "ndcg")[0])
        if n_people < self.settings.min_people:
            few = f"{n_people} {people} are too few, below {self.settings.min_people} this gate keeps nobody out"
            why = f"{few} (promotion.min_people)."
            return Gate.not_judged(name, why, n=n_people)
        return self._difference(name, comparison, tier, people, least, "promotion.max_tier_loss")

    def _difference(self, name: str, comparison: Comparison, group: str, people: str, least: float, limit: str) -> Gate:
        ours, theirs = (values.mean() for values in comparison.values(group, "ndcg"))
        gain = comparison.difference(group, "ndcg", self.bootstrap)
        sentence = (
            f"{TITLE} of {people} is {ours:.4f}, of the release in production {theirs:.4f}: {_signed(gain.mean)}; "
            f"{_requirement(gain.low, least)}"
        )
        n_people = len(comparison.values(group, "ndcg")[0])
        figures = (gain.mean, least, gain.low, gain.high, n_people)
        return Gate(name, gain.low > least, sentence, *figures, limits=(limit,))

    def _not_comparable(self, error: NotComparable) -> Gate:
        told = f"Not comparable: {error.problem}"
        if self.accepted:
            return Gate("ndcg", passed=False, sentence=told).taken(self.accepted, judged=False)
        return Gate("ndcg", passed=False, sentence=f"{told} {error.next_step}", acceptable=True)


@dataclass(frozen=True)
class _MeasuredFigures:
    """What was measured of each person with history when the release was built."""

    per_person: pl.DataFrame

    @classmethod
    def load(cls, bundle: Path) -> _MeasuredFigures:
        path = bundle / MEASURED / PER_USER
        table = read_parquet(path)
        lacking = {"group", "user_id", "system", NDCG} - set(table.columns)
        if lacking:
            raise ArtefactError(f"{path} lacks the columns {', '.join(sorted(lacking))}.", REBUILD)
        # Releases of before call the slates that are served a chain.
        figures = cls(table.with_columns(pl.col("system").replace({"chain": SLATES})))
        if not figures.n_people:
            raise ArtefactError(f"{path} holds nobody with history.", REBUILD)
        return figures

    @property
    def n_people(self) -> int:
        return len(self.of(SLATES))

    def of(self, system: str) -> PerPerson:
        return values_of(self.per_person, WARM, system, NDCG)

    def best_of(self, systems: tuple[str, ...]) -> str | None:
        """The system with the highest mean, of those that were measured."""
        measured = [system for system in systems if len(self.of(system))]
        return max(measured, key=lambda system: float(self.of(system).mean()), default=None)


def _not_judged(why: str, *judged: Gate) -> Iterator[Gate]:
    """Every gate that compares, not judged; but for those that are known nevertheless."""
    known = {gate.name: gate for gate in judged}
    return (known.get(name, Gate.not_judged(name, why)) for name in COMPARED)


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _requirement(low: float, least: float) -> str:
    measured, limit = distinct_texts(low, least, "+")
    return f"the lower end of the 95% interval is {measured}, and must be above {limit}."
