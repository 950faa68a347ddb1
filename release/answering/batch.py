"""Slates in batch: the request path over the feature values that travel in the bundle, at the release's own time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from contracts.clock import FixedClock
from contracts.errors import ShapeMismatch
from contracts.ids import UserId
from contracts.slates import RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer
from release.bundle.bundle import Release, load_bundle

DEFAULT_K = 10
ANSWER_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "position": pl.Int64(),
        "item_id": pl.String(),
        "title": pl.String(),
        "score": pl.Float64(),
        "tier": pl.String(),
        "source": pl.String(),
        "release_id": pl.String(),
    }
)


class BatchRecommender:
    """Answers for tables of people out of one bundle; needs neither the online store nor the registry.

    >>> recommender = BatchRecommender(Path("tests/golden/bundle_v3"))
    >>> slates = recommender.answer(pl.DataFrame({"user_id": ["u500", "nobody"], "k": [2, 1]}))
    >>> slates.select("user_id", "position", "tier").rows()
    [('u500', 1, 'personal'), ('u500', 2, 'personal'), ('nobody', 1, 'popular')]
    """

    def __init__(self, bundle: Path) -> None:
        self._release: Release = load_bundle(bundle)
        values = FeatureValues.load(bundle / "values")
        self._reader = OfflineFeatureReader(values, self._release.schemas, self._release.catalogue.ids)
        self._clock = FixedClock(self._release.as_of)

    def answer(self, people: pl.DataFrame) -> pl.DataFrame:
        """One row per person and position, in the order asked; people nobody knows get what is popular.

        people: column user_id (null for an anonymous visitor), and k where not everybody wants 10.
        Raises ShapeMismatch when user_id is missing.
        """
        if "user_id" not in people.columns:
            raise ShapeMismatch(
                f"The table has the columns {people.columns}; expected `user_id`, and `k` if you like.",
                "Name the column of person ids `user_id`.",
            )
        rows = [row for person in people.iter_rows(named=True) for row in self._rows(person)]
        return pl.DataFrame(rows, schema=ANSWER_SCHEMA)

    def _rows(self, person: dict[str, Any]) -> list[dict[str, Any]]:
        user_id = None if person["user_id"] is None else UserId(str(person["user_id"]))
        request = RecommendRequest("batch", user_id=user_id, k=int(person.get("k") or DEFAULT_K))
        return _as_rows(user_id, answer(self._release, self._reader, self._clock, request))


def _as_rows(user_id: UserId | None, slate: Slate) -> list[dict[str, Any]]:
    return [
        {
            "user_id": user_id,
            "position": item.position,
            "item_id": item.item_id,
            "title": item.title,
            "score": item.score,
            "tier": slate.tier,
            "source": item.source,
            "release_id": slate.release_id,
        }
        for item in slate.items
    ]
