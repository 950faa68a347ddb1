"""A release whose slates are known by construction: twelve items, popular in the order of their index.

Items 0..5 are comedies, 6..11 dramas. Item i goes with i + 1 and i + 2 alone. The ranker's score is the item's
quality, and quality rises with the index: the ranker prefers what popularity puts last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from contracts.errors import StoreUnavailable
from contracts.features import Entity, FeatureSchema, FeatureSpec, History, ReadsPeopleInTurn
from contracts.settings.request import RequestSettings
from contracts.settings.settings import load_settings
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureSchemas, FeatureValues
from recommender.catalogue import Catalogue
from recommender.generators.content import ContentGenerator
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.popular import PopularGenerator
from recommender.generators.popular_segment import PopularSegmentGenerator
from recommender.ranking.ranking_features import feature_names
from release.bundle.bundle import Release

NOW = datetime(2020, 1, 1, tzinfo=UTC)
N_ITEMS = 12
ITEM_IDS = [f"i{10 + item}" for item in range(N_ITEMS)]
QUOTAS = {"content": 4, "covisitation": 4, "popular": 12, "popular_recent": 12, "popular_segment": 12}


def catalogue() -> Catalogue:
    return Catalogue.from_items(
        pl.DataFrame(
            {
                "item_id": ITEM_IDS,
                "title": [f"Film {item_id}" for item_id in ITEM_IDS],
                "categories": [["comedy"]] * 6 + [["drama"]] * 6,
                "release_year": [1990] * N_ITEMS,
                "price": [None] * N_ITEMS,
                "in_stock": [None] * N_ITEMS,
                "attributes": [None] * N_ITEMS,
            }
        )
    )


def schemas() -> FeatureSchemas:
    user = FeatureSchema(Entity.USER, (FeatureSpec("user_event_count", 0.0, 9000),))
    item = FeatureSchema(Entity.ITEM, (FeatureSpec("item_quality", 0.5, 9000),))
    return FeatureSchemas(user, item)


@dataclass(frozen=True)
class QualityRanker:
    """Scores by `item_quality`, the second column: after the person's one feature."""

    feature_names = feature_names(schemas(), sorted(QUOTAS))

    def score(self, values: Any) -> Any:
        return values[:, 1].astype(np.float32)

    def contributions(self, values: Any) -> Any:
        added = np.zeros((len(values), values.shape[1] + 1))
        added[:, 1] = values[:, 1]
        return added


class BrokenRanker:
    feature_names = QualityRanker.feature_names

    def score(self, values: Any) -> Any:
        raise RuntimeError("the model file is gone")


class FailingGenerator:
    """A generator that dies when it is asked for one thing, and does the rest as another does."""

    def __init__(self, generator: Any, fails_when: str) -> None:
        self.name, self._generator, self._fails_when = generator.name, generator, fails_when

    def encode(self, queries: Any) -> Any:
        if self._fails_when == "encode":
            _die()
        encoded = self._generator.encode(queries)
        asked = {"propose": encoded.propose, "score": encoded.score, self._fails_when: _die}
        return SimpleNamespace(**asked)


def _die(*_asked: Any) -> Any:
    raise RuntimeError("the index is gone")


def with_failing(release: Release, *names: str, fails_when: str = "encode") -> Release:
    """The release with generators that fail."""
    failing = {name: FailingGenerator(release.generators[name], fails_when) for name in names}
    return replace(release, generators={**release.generators, **failing})


def generators(items: Catalogue) -> dict[str, Any]:
    fingerprint = items.ids.fingerprint
    falling = np.linspace(1.2, 0.1, N_ITEMS).astype(np.float32)
    neighbours = [[item + step for step in (1, 2) if item + step < N_ITEMS] for item in range(N_ITEMS)]
    flat = np.array([near for row in neighbours for near in row], np.int32)
    weights = np.array([1.0 / step for row in neighbours for step in range(1, len(row) + 1)], np.float32)
    starts = np.cumsum([0, *(len(row) for row in neighbours)]).astype(np.int64)
    segments = (("gender", "F"),)
    return {
        "content": ContentGenerator(items, 1 + falling),
        "covisitation": ItemToItemGenerator("covisitation", starts, flat, weights, Pooling.MEAN, 50, fingerprint),
        "popular": PopularGenerator("popular", falling, fingerprint),
        "popular_recent": PopularGenerator("popular_recent", falling, fingerprint),
        "popular_segment": PopularSegmentGenerator.of_dense(segments, falling[::-1][None, :].copy(), fingerprint),
    }


def request_settings(**changes: Any) -> RequestSettings:
    settings = load_settings(Path("params.yaml")).request.model_dump()
    return RequestSettings.model_validate({**settings, "quotas": QUOTAS, "personal_min_events": 2, **changes})


def made_up_release(**changes: Any) -> Release:
    items = catalogue()
    return Release(
        release_id="r-made-up",
        generation_id="g-made-up",
        as_of=NOW,
        catalogue=items,
        generators=generators(items),
        index=None,  # type: ignore[arg-type]  # no generator here looks into an index
        ranker=QualityRanker(),  # type: ignore[arg-type]  # as much of a ranker as the request path uses
        schemas=schemas(),
        request=request_settings(**changes),
    )


def made_up_values(histories: dict[str, list[str]] | None = None) -> FeatureValues:
    """Quality rises with the index; histories: items by user_id, one a day, the last one yesterday."""
    told = histories or {}
    days = {user: [NOW - timedelta(days=len(items) - at) for at in range(len(items))] for user, items in told.items()}
    return FeatureValues(
        users=pl.DataFrame({"user_id": list(told), "user_event_count": [float(len(items)) for items in told.values()]})
        if told
        else pl.DataFrame(schema={"user_id": pl.String, "user_event_count": pl.Float32}),
        items=pl.DataFrame({"item_id": ITEM_IDS, "item_quality": [item / 100 for item in range(N_ITEMS)]}),
        histories=pl.DataFrame(
            {
                "user_id": list(told),
                "item_ids": list(told.values()),
                "event_ts": [[int(day.timestamp()) for day in days[user]] for user in told],
                "values": [[5.0] * len(items) for items in told.values()],
            },
            schema={
                "user_id": pl.String,
                "item_ids": pl.List(pl.String),
                "event_ts": pl.List(pl.Int64),
                "values": pl.List(pl.Float32),
            },
        ),
        as_of=NOW,
    )


def made_up_reader(histories: dict[str, list[str]] | None = None) -> OfflineFeatureReader:
    return OfflineFeatureReader(made_up_values(histories), schemas(), catalogue().ids)


def clicks(*item_ids: str) -> History:
    n_clicks = len(item_ids)
    seconds = [int(NOW.timestamp()) - 60 * (n_clicks - at) for at in range(n_clicks)]
    return History.without_types(
        catalogue().ids.indices(item_ids), np.array(seconds, np.int64), np.full(n_clicks, np.nan, np.float32)
    )


@dataclass
class AwayReader(ReadsPeopleInTurn):
    """A store that cannot be reached for people, for items, or both."""

    reader: OfflineFeatureReader
    people: bool = True
    items: bool = True

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def read_person(self, *asked: Any) -> Any:
        if self.people:
            raise StoreUnavailable("Redis cannot be reached.", "Start it.")
        return self.reader.read_person(*asked)

    def read_items(self, *asked: Any) -> Any:
        if self.items:
            raise StoreUnavailable("Redis cannot be reached.", "Start it.")
        return self.reader.read_items(*asked)


def with_ranker(release: Release, ranker: Any) -> Release:
    return replace(release, ranker=ranker)
