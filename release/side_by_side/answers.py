"""What releases show when they are asked shared questions, person by person in one order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.errors import ArtefactError, NotComparable, ReleaseMismatch
from contracts.progress import Progress
from recommender.judging.intervals import Interval, PerPerson
from release.bundle.bundle import Release
from release.evaluation.evaluation import SLATES, Evaluation, evaluate
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.summary import Bootstrap
from release.side_by_side.questions import ADVICE, Questions

WHO = ["group", "user_id"]


@dataclass(frozen=True)
class Asker:
    """Asks any release the same questions. The items that slates are judged by are those of the lender."""

    questions: Questions
    judge: Judge

    @classmethod
    def of(cls, questions: Questions, lender: Release) -> Asker:
        """lender: the measured fit of the release whose window it is."""
        judge = questions.window.judge(lender, questions.cutoffs[0])
        return cls(
            questions,
            Judge(questions.cutoffs, judge.item_ids, judge.popularity, category_vectors(lender.catalogue)),
        )

    def ask(self, release: Release, what: str) -> Evaluation:
        """Every metric of everybody; what: for the progress. Raises ArtefactError where an answer is degraded."""
        window = self.questions.window
        reader = window.reader(release.schemas, release.catalogue.ids)
        cases = window.cases_for(release.catalogue.ids, self.judge.item_ids)
        return evaluate(
            release, reader, cases, self.judge, lambda some: Progress(some, desc=what, unit="person"), alone=()
        )

    def ask_whole(self, release: Release, what: str) -> Evaluation:
        """The same of one of the two; raises NotComparable where it cannot answer these questions."""
        try:
            return self.ask(release, what)
        except (ArtefactError, ReleaseMismatch) as error:
            raise NotComparable(f"{what} cannot be asked: {error.problem}", ADVICE) from error


@dataclass(frozen=True)
class Pair:
    """Two evaluations of the same questions, a row a person. Differences are of B - A."""

    a: Evaluation
    b: Evaluation

    @cached_property
    def rows(self) -> pl.DataFrame:
        """group, user_id, tier, tier_b, and every metric of A and (with `_b`) of B; in the order of groups and ids."""
        ours, theirs = (_slates_of(one) for one in (self.a, self.b))
        return ours.join(theirs, on=WHO, how="inner", suffix="_b", maintain_order="left", validate="1:1")

    def groups(self) -> list[str]:
        return [str(group) for group in self.rows["group"].unique(maintain_order=True)]

    def metrics(self) -> tuple[str, ...]:
        return self.a.metrics

    def differences(self, rows: pl.DataFrame, metric: str) -> PerPerson:
        """(n_people,) of those of these rows whom it was measured of in both."""
        both = rows.select(metric, f"{metric}_b").drop_nulls()
        difference: PerPerson = (both[f"{metric}_b"] - both[metric]).to_numpy().astype(np.float64)
        return difference

    def intervals(self, rows: pl.DataFrame, bootstrap: Bootstrap, *names: str) -> dict[str, Interval]:
        """By metric, the mean difference with its paired interval; without those that were measured of nobody.

        Metrics of as many people are bootstrapped on the same draws.
        """
        every = {metric: self.differences(rows, metric) for metric in self.metrics()}
        found: dict[str, Interval] = {}
        for n_people in sorted({len(values) for values in every.values()} - {0}):
            alike = {metric: values for metric, values in every.items() if len(values) == n_people}
            found |= bootstrap.intervals(alike, *names)
        return {metric: found[metric] for metric in every if metric in found}

    def of_all(self, group: str) -> dict[str, tuple[float, float]]:
        """By name, coverage and Gini of all slates of a group, of A and of B."""
        ours, theirs = (_of_all(one, group) for one in (self.a, self.b))
        return {name: (value, theirs[name]) for name, value in ours.items()}


def headline_values(evaluation: Evaluation, metric: str) -> Mapping[str, npt.NDArray[np.float64]]:
    """By group, (n_people,) the metric of the slates, people in the order of their ids."""
    rows = _slates_of(evaluation)
    return {
        str(group): mine[metric].fill_null(0.0).to_numpy().astype(np.float64)
        for (group,), mine in rows.group_by("group", maintain_order=True)
    }


def _slates_of(evaluation: Evaluation) -> pl.DataFrame:
    mine = evaluation.per_person.filter(pl.col("system") == SLATES)
    order = {group: place for place, group in enumerate(mine["group"].unique(maintain_order=True))}
    chosen = mine.select(*WHO, "tier", *evaluation.metrics)
    return chosen.sort(pl.col("group").replace_strict(order, return_dtype=pl.Int64), "user_id")


def _of_all(evaluation: Evaluation, group: str) -> dict[str, float]:
    chosen = (pl.col("group") == group) & (pl.col("system") == SLATES)
    row = evaluation.coverage.filter(chosen).drop("group", "system").row(0, named=True)
    return {name: float(value) for name, value in row.items()}
