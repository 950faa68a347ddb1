"""Loss limits: what a gain in NDCG must not be paid with, on the slates of people with history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.settings.promotion import PromotionSettings
from release.evaluation.cases import WARM
from release.evaluation.comparison import Comparison
from release.evaluation.judge import POPULAR_SHARE
from release.gates.gate import Gate, distinct_texts

LOSS_LIMITS: Final = ("diversity", "novelty", "coverage", "popularity_share")


def loss_limits(comparison: Comparison, settings: PromotionSettings) -> Iterator[Gate]:
    """Diversity, novelty and coverage may fall by a share of the champion's; popular items may take few places more."""
    n_people = len(comparison.values(WARM, "ndcg")[0])
    means = {name: _means(comparison, name) for name in ("diversity", "novelty", "popularity_share")}
    yield _floor("diversity", *means["diversity"], settings.max_relative_loss_diversity, n_people)
    yield _floor("novelty", *means["novelty"], settings.max_relative_loss_novelty, n_people)
    yield _floor("coverage", *comparison.coverage(WARM), settings.max_relative_loss_coverage, n_people)
    yield _ceiling(*means["popularity_share"], settings.max_popularity_share_gain, n_people)


def _means(comparison: Comparison, metric: str) -> tuple[float, float]:
    challenger, champion = comparison.values(WARM, metric)
    return float(challenger.mean()), float(champion.mean())


def _floor(name: str, ours: float, theirs: float, max_loss: float, n_people: int) -> Gate:
    least = theirs * (1 - max_loss)
    measured, limit = distinct_texts(ours, least)
    sentence = (
        f"{name.capitalize()} of the slates is {measured}, at least {limit} is asked: {max_loss:.0%} less than the "
        f"{theirs:.4f} of the release in production."
    )
    limits = (f"promotion.max_relative_loss_{name}",)
    return Gate(name, ours >= least, sentence, ours, least, n=n_people, limits=limits)


def _ceiling(ours: float, theirs: float, max_gain: float, n_people: int) -> Gate:
    most = theirs + max_gain
    measured, limit = distinct_texts(ours, most)
    sentence = (
        f"The most popular {POPULAR_SHARE:.0%} of the items take {measured} of the places, at most {limit} is allowed: "
        f"{max_gain:.4f} more than the {theirs:.4f} with the release in production."
    )
    limits = ("promotion.max_popularity_share_gain",)
    return Gate("popularity_share", ours <= most, sentence, ours, most, n=n_people, limits=limits)
