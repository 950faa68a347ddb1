"""What diversity costs a release, and what it brings: its slates under one budget after the other.

diversity.csv   a row for each budget: budget, is_served, and of people with a history at the first cutoff ndcg, gain
                (over the ranker's own order; with its paired 95% interval), diversity, miscalibration, novelty,
                coverage and gini
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from contracts.features import FeatureReader
from release.bundle.bundle import Release
from release.evaluation.cases import WARM, EvaluationCase
from release.evaluation.evaluation import SLATES, Evaluation, evaluate, values_of
from release.evaluation.judge import Judge
from release.evaluation.summary import Bootstrap

DIVERSITY: Final = "diversity.csv"
BUDGETS: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # of `request.diversity.max_relevance_loss`
MOST_PEOPLE: Final = 1000  # that are asked, so many times: the first by their ids
_MEANS: Final = ("diversity", "miscalibration", "novelty")
_OF_ALL: Final = ("coverage", "gini")


def diversity_curve(
    release: Release, reader: FeatureReader, cases: Sequence[EvaluationCase], judge: Judge, bootstrap: Bootstrap
) -> pl.DataFrame | None:
    """The table of diversity.csv; None of a release whose slates are not diversified.

    cases: people with a history. Everything but the budget is as it is served, also the strength that is wished for.
    """
    served = release.request.diversity
    if served.method == "none":
        return None
    budgets = sorted({*BUDGETS, served.max_relevance_loss})
    asked = {WARM: cases[:MOST_PEOPLE]}
    measured = {budget: evaluate(_under_budget(release, budget), reader, asked, judge, alone=()) for budget in budgets}
    own_order = measured[0.0]
    return pl.DataFrame(
        [
            {"budget": budget, "is_served": budget == served.max_relevance_loss, **_row(one, own_order, bootstrap)}
            for budget, one in measured.items()
        ]
    )


def write_diversity_curve(curve: pl.DataFrame | None, folder: Path) -> None:
    """Write the table beside the other reports; nothing where there is none."""
    if curve is not None:
        curve.write_csv(folder / DIVERSITY)


def _under_budget(release: Release, budget: float) -> Release:
    return release.with_rules(diversity=release.request.diversity.model_copy(update={"max_relevance_loss": budget}))


def _row(measured: Evaluation, own_order: Evaluation, bootstrap: Bootstrap) -> dict[str, float | None]:
    k = measured.cutoffs[0]
    ours, theirs = (values_of(one.per_person, WARM, SLATES, f"ndcg_at_{k}") for one in (measured, own_order))
    gain = bootstrap.difference(ours, theirs, "diversity")
    means = {name: _mean(measured, f"{name}_at_{k}") for name in _MEANS}
    of_all = {name: float(measured.coverage[f"{name}_at_{k}"].item()) for name in _OF_ALL}
    return {
        "ndcg": float(ours.mean()), "gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high, **means, **of_all
    }  # fmt: skip


def _mean(measured: Evaluation, metric: str) -> float | None:
    """Of those it was measured of; None where it was of nobody."""
    values = values_of(measured.per_person, WARM, SLATES, metric)
    return float(values.mean()) if len(values) else None
