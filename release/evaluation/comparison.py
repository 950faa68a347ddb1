"""Two releases on the same people: both measured fits are asked every question of the challenger's test window.

One request path asks both, over each one's full catalogue. Nothing is remembered: the code that compares is the code
that serves, so a comparison made last week need not hold today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from contracts.errors import ArtefactError, NotComparable
from contracts.progress import Progress
from contracts.settings.evaluate import PROMOTION_CUTOFF
from recommender.judging.intervals import Interval, PerPerson
from release.bundle.bundle import Release, load_rules
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import EvaluationCase
from release.evaluation.evaluation import SLATES, Evaluation, evaluate, values_of
from release.evaluation.judge import Judge
from release.evaluation.measured_window import MeasuredWindow
from release.evaluation.summary import Bootstrap
from release.evaluation.wanted_of_both import ADVICE, wanted_of_both

FIRST_WITH_CASES = 2  # the format version from which on a bundle carries its test window


@dataclass(frozen=True)
class Comparison:
    """What both releases showed the same people, judged alike.

    note: that they exclude differently, and what counts as wanted then; empty where their rules agree.
    """

    challenger: Evaluation
    champion: Evaluation
    note: str = ""

    def groups(self) -> list[str]:
        """The groups that anybody is in, in the order of the cases."""
        return [str(group) for group in self.challenger.per_person["group"].unique(maintain_order=True)]

    def values(self, group: str, metric: str) -> tuple[PerPerson, PerPerson]:
        """(n_people,) of the challenger and of the champion, the same people in the same order."""
        name = f"{metric}_at_{PROMOTION_CUTOFF}"
        challenger, champion = (
            values_of(one.per_person, group, SLATES, name) for one in (self.challenger, self.champion)
        )
        return challenger, champion

    def difference(self, group: str, metric: str, bootstrap: Bootstrap) -> Interval:
        """Of the mean of challenger - champion, with its paired interval."""
        return bootstrap.difference(*self.values(group, metric), group, metric)

    def coverage(self, group: str) -> tuple[float, float]:
        """The share of the challenger's catalogue that each of them showed to anybody of the group."""
        chosen = (pl.col("group") == group) & (pl.col("system") == SLATES)
        name = f"coverage_at_{PROMOTION_CUTOFF}"
        challenger, champion = (one.coverage.filter(chosen)[name].item() for one in (self.challenger, self.champion))
        return float(challenger), float(champion)


def compare(challenger: OpenBundle, champion: OpenBundle) -> Comparison:
    """Ask the measured fits of two bundles about the challenger's test window.

    Where the two exclude differently, only what both may show counts as wanted.
    Raises NotComparable when the challenger carries no window, the champion's fit saw some of it or cannot be asked, or
    nothing was wanted that both may show; ArtefactError when the challenger's own bundle is damaged or degrades.
    """
    window = _load_window(challenger)
    _check_unseen(window, champion)
    measured = challenger.load_measured()
    judge = window.judge(measured, PROMOTION_CUTOFF)
    try:
        rules = {"this release": measured.request, "the release in production": load_rules(champion.folder)}
        window, note = wanted_of_both(window, rules)
        theirs = _measure(champion.load_measured(), window, judge)
    except ArtefactError as error:
        raise NotComparable(f"The release in production cannot be asked: {error.problem}", ADVICE) from error
    return Comparison(_measure(measured, window, judge), theirs, note)


def _load_window(challenger: OpenBundle) -> MeasuredWindow:
    version = challenger.manifest.format_version
    if version < FIRST_WITH_CASES:
        raise NotComparable(
            f"The bundle is of format version {version} and carries no test cases; they are there from version "
            f"{FIRST_WITH_CASES} on.",
            f"Build it again with `dvc repro release`. {ADVICE}",
        )
    return MeasuredWindow.load(challenger.folder)


def _check_unseen(window: MeasuredWindow, champion: OpenBundle) -> None:
    learnt_until = champion.test_start
    if learnt_until > window.start:
        raise NotComparable(
            f"The test window starts at {window.start.isoformat()}, and the measured fit of the release in production "
            f"learnt from events until {learnt_until.isoformat()}: it saw some of what it would be asked.",
            ADVICE,
        )


def _measure(release: Release, window: MeasuredWindow, judge: Judge) -> Evaluation:
    reader = window.reader(release.schemas, release.catalogue.ids)
    cases = window.cases_for(release.catalogue.ids, judge.item_ids)
    return evaluate(release, reader, cases, judge, _progress(release.release_id), alone=())


def _progress(release_id: str) -> Callable[[Iterable[EvaluationCase]], Iterable[EvaluationCase]]:
    def with_bar(cases: Iterable[EvaluationCase]) -> Iterable[EvaluationCase]:
        return Progress(cases, desc=f"compare {release_id}", unit="person")

    return with_bar
