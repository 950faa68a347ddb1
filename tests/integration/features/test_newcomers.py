"""Somebody without a published row: the ranker learnt on the very rows that a real store then serves of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import redis

from contracts.calendar import epoch_microseconds
from contracts.clock import FixedClock
from contracts.events import EventType
from contracts.ids import FloatArray, ItemId, SessionId, UserId
from contracts.slates import RecommendRequest
from contracts.tables import INTERACTIONS_SCHEMA, CanonicalTables
from feature_store.offline.offline_store import values_as_of
from feature_store.online.connection import connect
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.publishing.publishing import publish
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import FeatureSchemas, load_schemas
from pipelines import candidates, features
from pipelines.matrix_run import load_split
from pipelines.paths import CANDIDATES, FEATURES, VALID, Cutoff
from pipelines.ranking import ranking_inputs, scan_training
from recommender.generators.sets import load_generators
from recommender.ranking.training_queries import SESSION_EVENTS
from recommender.ranking.training_rows import RankingInputs, build_ranking_rows
from release.answering.request_path import answer
from release.bundle.bundle import Release
from tests.integration.pipelines.test_model_stages import small_settings

APP = "newcomers"
KEPT = Retention(length=100, ttl_s=3600)
SECOND = timedelta(seconds=1)
NEWCOMERS = ("new3", "new4", "new5", "new6", "new7")  # at this snapshot some of them sign in, and some do not
TOUCHED = (3, 8, 1, 2, 5)  # the first two before the request; what follows is wanted
KINDS = (EventType.CLICK, EventType.PURCHASE, EventType.VIEW, EventType.ADD_TO_CART, EventType.CLICK)


@dataclass(frozen=True)
class Window:
    """The last label window before the test window, in a folder in which the stages have run."""

    tables: CanonicalTables
    schemas: FeatureSchemas
    start: datetime
    end: datetime

    def clicks(self) -> list[datetime]:
        return [self.start + timedelta(minutes=7 * place, seconds=13) for place in range(1, len(TOUCHED) + 1)]

    def world(self, newcomer: str) -> RankingInputs:
        """Where nobody but the newcomer does anything in the window."""
        told = [(newcomer, f"i{1000 + item}", str(kind), at, None, None, None) for item, kind, at in self._deeds()]
        added = pl.DataFrame(told, schema=INTERACTIONS_SCHEMA, orient="row")
        before = self.tables.interactions.filter(pl.col("event_ts") < self.start)
        tables = replace(self.tables, interactions=pl.concat([before, added]))
        catalogues = [(self.end, load_generators(CANDIDATES / Cutoff.TEST).catalogue)]
        world = ranking_inputs(small_settings(), tables, catalogues, self.schemas, scan_training())
        return replace(world, segments={})

    def done(self, newcomer: str) -> list[RecentEvent]:
        """What they did before the request, as an application sends it: signed in, in a session."""
        return [
            RecentEvent(
                kind,
                ItemId(f"i{1000 + item}"),
                epoch_microseconds(at),
                float("nan"),
                UserId(newcomer),
                SessionId(f"s-{newcomer}"),
            )
            for item, kind, at in self._deeds()[:SESSION_EVENTS]
        ]

    def _deeds(self) -> list[tuple[int, EventType, datetime]]:
        return list(zip(TOUCHED, KINDS, self.clicks(), strict=True))


def of_all_kinds(interactions: pl.DataFrame) -> pl.DataFrame:
    """The same events as a shop's: viewed, clicked, put into the cart, bought."""
    kind = pl.int_range(pl.len()) % len(KINDS)
    kinds = kind.replace_strict(dict(enumerate(map(str, KINDS))), return_dtype=pl.String)
    return interactions.with_columns(event_type=kinds).sort("event_ts", "user_id", "item_id", "event_type")


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, world: CanonicalTables) -> Iterator[Window]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("newcomers"))
        shop = replace(world, interactions=of_all_kinds(world.interactions))
        shop.save(VALID)
        features.run(small_settings())
        candidates.run(small_settings(), Cutoff.TEST)
        yield Window(shop, load_schemas(FEATURES), *load_split().label_windows(Cutoff.TEST)[-1])


@dataclass
class RememberingRanker:
    """Keeps the rows that it was asked to score."""

    feature_names: tuple[str, ...]
    asked: list[FloatArray] = field(default_factory=list)

    def score(self, values: FloatArray) -> FloatArray:
        self.asked.append(values)
        return np.zeros(len(values), np.float32)


def served(client: redis.Redis, window: Window, world: RankingInputs, names: tuple[str, ...], **who: Any) -> FloatArray:
    """The ranker's input for a request one second after the second click, on a generation of the snapshot."""
    ids = world.ids
    values = values_as_of(window.tables, window.start, world.history_length, n_threads=1).of(window.schemas)
    publish(client, APP, values, window.schemas, ids, "release", batch_size=100)
    ranker = RememberingRanker(names)
    ((catalogue, generators),) = world.fit_generators([window.start])
    release = Release(
        release_id="release",
        generation_id=values.generation_id,
        as_of=window.start,
        catalogue=catalogue,
        generators=generators,
        index=None,  # type: ignore[arg-type]  # no generator here looks into an index
        ranker=ranker,  # type: ignore[arg-type]  # as much of a ranker as the request path uses
        schemas=window.schemas,
        request=small_settings().request,
    )
    reader = RedisFeatureReader(client, APP, values.generation_id, window.schemas, ids)
    now = window.clicks()[SESSION_EVENTS - 1] + SECOND
    slate = answer(release, reader, FixedClock(now), RecommendRequest("r", k=5, **who))
    assert not slate.degraded
    (asked,) = ranker.asked
    return asked


def test_a_newcomer_is_ranked_on_the_rows_that_the_ranker_was_trained_on(redis_url, window):
    signed_in = []
    with connect(redis_url) as client:
        for newcomer in NEWCOMERS:
            world = window.world(newcomer)
            rows = build_ranking_rows(world, [(window.start, window.end)])
            append_events(client, APP, window.done(newcomer), session=KEPT, recent=KEPT)
            by_kind = {
                True: served(client, window, world, rows.names, user_id=UserId(newcomer)),
                False: served(client, window, world, rows.names, session_id=SessionId(f"s-{newcomer}")),
            }
            counts = [rows.names.index(f"user_{what}") for what in ("event_count_total", "purchase_count_7d")]
            signed_in.append(bool(rows.values[0, counts[0]]))
            np.testing.assert_array_equal(rows.values, by_kind[signed_in[-1]])
            assert (by_kind[True][:, counts] == [SESSION_EVENTS, 1]).all()
            assert (by_kind[False][:, counts] == 0).all()
    assert set(signed_in) == {True, False}
