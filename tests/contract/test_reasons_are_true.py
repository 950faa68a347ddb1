"""Of a release of the stages: without what a reason names, the score would be less; the numbers sum to the score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from contracts.clock import FixedClock
from contracts.ids import FloatArray
from contracts.slates import RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from recommender.ranking.ranker import Ranker
from release.answering.request_path import answer
from release.bundle.bundle import Release, load_bundle

BUNDLE = Path("tests/golden/bundle_v6")
K = 16  # all items there are
# Of each sentence the features that say what it says.
NAMED = {
    "Because you chose": ("covisitation", "covisitation_max"),
    "Because you like": ("category_affinity_all", "category_affinity_latest", "category_lift", "category_recency"),
    "People with your taste": ("als",),
    "Described much like": ("content",),
    "Popular this month": ("popular", "item_event_count", "item_event_recency", "item_user_count"),
    "An all-time favourite": ("popular", "item_event_count", "item_event_recency", "item_user_count"),
}


@dataclass(frozen=True)
class Watched:
    """The release's ranker, and what it was asked to explain."""

    ranker: Ranker
    asked: list[FloatArray]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.ranker.feature_names

    def score(self, values: FloatArray) -> FloatArray:
        return self.ranker.score(values)

    def contributions(self, values: FloatArray) -> Any:
        self.asked.append(values)
        return self.ranker.contributions(values)


@cache
def served() -> tuple[Release, OfflineFeatureReader, tuple[str, ...]]:
    release, values = load_bundle(BUNDLE), FeatureValues.load(BUNDLE / "values")
    reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
    return release, reader, tuple(values.users["user_id"])


def explained(user_id: str) -> tuple[Slate, FloatArray]:
    """The slate of a person, and what the ranker was handed of its items."""
    release, reader, _ = served()
    watched = Watched(release.ranker, [])
    request = RecommendRequest("q", user_id=user_id, k=K, explain=True)
    slate = answer(replace(release, ranker=watched), reader, FixedClock(release.as_of), request)  # type: ignore[arg-type]
    assert slate.degraded == ()
    (handed,) = watched.asked
    return slate, handed


def without(row: FloatArray, sentence: str) -> FloatArray:
    """The row where nothing is known of what a sentence names, as the ranker has it of somebody else's items."""
    release, _, _ = served()
    defaults = {spec.name: spec.default for spec in release.schemas.item.features}
    words = next(words for begin, words in NAMED.items() if sentence.startswith(begin))
    told = row.copy()
    for column, name in enumerate(release.ranker.feature_names):
        if any(word in name for word in words) and "segment" not in name and "item_event_count_total_" not in name:
            told[column] = 1e6 if name.startswith("rank_") else defaults.get(name, np.nan)
    return told


def test_without_what_a_reason_names_the_score_would_be_less() -> None:
    """But where nothing raised the score: there what proposed the item is told, alone."""
    raised, others = 0, 0
    for user_id in served()[2]:
        slate, handed = explained(user_id)
        for item, row in zip(slate.items, handed, strict=True):
            for sentence in item.reasons:
                if is_raised_by(row, sentence):
                    raised += 1
                else:
                    assert len(item.reasons) == 1, (user_id, item)
                    others += 1
    assert raised >= 50
    assert others > 0  # of three trees, few features raise a score


def is_raised_by(row: FloatArray, sentence: str) -> bool:
    """Whether LightGBM itself scores the row lower without what the sentence names."""
    release, _, _ = served()
    both = np.stack([row, without(row, sentence)])
    score, less = release.ranker.booster.predict(both, num_threads=1)
    return bool(less < score)


def test_contributions_of_the_items_sum_to_their_scores() -> None:
    release, _, people = served()
    for user_id in people:
        slate, handed = explained(user_id)
        sums = release.ranker.contributions(handed).sum(axis=1)
        assert np.abs(sums - [item.score for item in slate.items]).max() < 1e-7
