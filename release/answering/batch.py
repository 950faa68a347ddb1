"""Slates in batch: the request path over the feature values that travel in the bundle, at the release's own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from contracts.clock import FixedClock
from contracts.errors import ShapeMismatch, UnknownId, WrongInput
from contracts.ids import UserId
from contracts.slates import DEFAULT_K, RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.placing import most_items
from release.answering.request_limits import check_length, filter_cell, length_of, placement_cell, user_id_of
from release.answering.request_path import answer_many
from release.bundle.bundle import Release, load_bundle

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

        people: column user_id (null for an anonymous visitor), k where not everybody wants 10, `filter`, as JSON, where
        items must satisfy something, and `placement` where it is another than home. Lists in a row are as many rows: a
        mapping of columns may come like that.
        Raises ShapeMismatch when user_id is missing, WrongInput naming the row for what HTTP would not take either,
        UnknownId for a filter's field that the release has not; then nobody is answered.
        """
        if "user_id" not in people.columns:
            raise ShapeMismatch(
                f"The table has the columns {people.columns}; expected `user_id`, and `k` if you like.",
                "Name the column of person ids `user_id`.",
            )
        requests = [self._request(number, person) for number, person in enumerate(_a_row_each(people), start=1)]
        slates = answer_many(self._release, self._reader, self._clock, requests)
        rows = [
            row for request, slate in zip(requests, slates, strict=True) for row in _as_rows(request.user_id, slate)
        ]
        return pl.DataFrame(rows, schema=ANSWER_SCHEMA)

    def _request(self, number: int, person: dict[str, Any]) -> RecommendRequest:
        try:
            user_id, wanted = user_id_of(person["user_id"]), filter_cell(person.get("filter"))
            self._release.filters.allowed(wanted)
            placement = placement_cell(person.get("placement"))
            request = RecommendRequest("batch", user_id=user_id, filter=wanted, placement=placement)
            most = most_items(self._release, request)
            k = length_of(person.get("k"), DEFAULT_K)
            check_length(k, most, self._release.release_id)
        except (WrongInput, UnknownId) as error:
            raise type(error)(f"Row {number}: {error.problem}", error.next_step) from error
        return replace(request, k=k)


def _a_row_each(people: pl.DataFrame) -> Iterator[dict[str, Any]]:
    lists = [name for name in ("user_id", "k", "filter", "placement") if isinstance(people.schema.get(name), pl.List)]
    try:
        yield from (people.explode(lists) if lists else people).iter_rows(named=True)
    except pl.exceptions.ShapeError as error:
        raise ShapeMismatch(
            f"The lists of {' and '.join(lists)} are not equally long in a row.", "Send as many `k` as `user_id`."
        ) from error


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
