"""Worlds for the recommender's tests: a checkerboard whose answer is known, settings, feature rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest

from contracts.events import EventType
from contracts.features import Entity, FeatureSchema, FeatureSpec, History, ReadRows
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import (
    AlsSettings,
    CandidateSettings,
    CovisitationSettings,
    EaseSettings,
    GraphFilterSettings,
    ItemToItemSettings,
    PopularSettings,
    SequenceSettings,
    SimilarTextsSettings,
    TwoTowerSettings,
)
from contracts.settings.index import IndexSettings
from contracts.settings.ranking import RankingSettings
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, CanonicalTables
from recommender.candidates import CandidateSet, encode_all, gather
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.sets import fit_generators, fit_one, load_generator
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from tests.own_generator_page import in_own_project, own_references

START = datetime(2020, 1, 1, tzinfo=UTC)
CHECKERBOARD_ITEMS = 12
CHECKERBOARD_END = START + timedelta(days=20)

CANDIDATE_SETTINGS = CandidateSettings(
    als=AlsSettings(factors=2, regularization=0.05, alpha=10, iterations=20),
    covisitation=CovisitationSettings(
        decay_days=60, visit_gap_hours=12, n_neighbours=50, popularity_damping=0.5, history_length=50
    ),
    popular=PopularSettings(recent_days=30, segment_smoothing=10),
)
# Every generator there is, and some with names of their own.
FURTHER = {
    "covisitation_ever": ItemToItemSettings(),
    "in_order": ItemToItemSettings(apart_weight=0.8, before_weight=0.5, length_power=0.5, neighbour_damping=0.3),
    "viewed_together": ItemToItemSettings(from_events=(EventType.VIEW,), to_events=(EventType.VIEW,), step_weight=0.9),
}
ALL_CANDIDATE_SETTINGS = CANDIDATE_SETTINGS.model_copy(
    update={
        "ease": EaseSettings(regularization=10, n_neighbours=50),
        "graph_filter": GraphFilterSettings(dim=2, n_neighbours=50),
        "similar_texts": SimilarTextsSettings(n_neighbours=50),
        "item_to_item": FURTHER,
        "own": own_references(),
    }
)
# Deep generators, trained by a guest that is not here where the suite runs: what it learnt is kept. With
# SLATE_TEST_DEEP=fitted it is learnt again, as in `make test-deep`; with SLATE_TEST_DEEP=tfrs, as in `make test-tfrs`,
# two towers are, by TensorFlow Recommenders.
DEEP_SETTINGS = {
    "sequence": SequenceSettings(
        dim=8, n_blocks=2, n_heads=2, length=6, horizon=6, decay_days=None, dropout=0.0, n_epochs=40, batch_size=8,
        learning_rate=0.01, n_negatives=CHECKERBOARD_ITEMS,
    ),
    "two_tower": TwoTowerSettings(
        dim=8, width=8, length=6, horizon=6, decay_days=None, id_dropout=0.0, n_epochs=10,
        batch_size=32, learning_rate=0.02,
    ),
}  # fmt: skip
DEEP_LEARNT = Path(__file__).with_name("golden") / "deep_checkerboard"


def deep_fitted(asked: str | None) -> dict[str, Any]:
    """The settings of the deep generators that are learnt again; asked: what SLATE_TEST_DEEP says."""
    known = {
        "fitted": DEEP_SETTINGS,
        "tfrs": {"two_tower": DEEP_SETTINGS["two_tower"].model_copy(update={"engine": "tfrs"})},
    }
    if asked and asked not in known:
        raise ValueError(f"SLATE_TEST_DEEP is {asked}; known are {', '.join(known)}, or leave it unset")
    return known[asked] if asked else {}


DEEP_FITTED = deep_fitted(os.environ.get("SLATE_TEST_DEEP"))
INDEX_SETTINGS = IndexSettings(
    exact_below=1000, hnsw_links=16, hnsw_ef_construction=100, hnsw_ef_search=64, recall_k=10, min_recall=0.9
)
RANKING_SETTINGS = RankingSettings(
    n_trees=60,
    n_leaves=7,
    learning_rate=0.1,
    min_rows_per_leaf=5,
    feature_share=1.0,
    row_share=1.0,
    l2=1.0,
    early_stopping_rounds=20,
    max_queries=100_000,
    n_threads=1,
)


@dataclass(frozen=True)
class Checkerboard:
    """Even people like even items, odd people odd ones; everybody leaves one of theirs out, at their own place.

    Item `i100` has index 0, so external ids never equal indices; `held_out[user_id]` is what should come first.
    """

    tables: CanonicalTables
    catalogue: Catalogue
    held_out: dict[str, int]

    def query(self, user_id: str) -> RetrievalQuery:
        """What is asked for one person: their history, and nothing of it again."""
        rows = self.tables.interactions.filter(pl.col("user_id") == user_id).sort("event_ts")
        items = self.catalogue.ids.indices(rows["item_id"])
        seconds = rows["event_ts"].dt.epoch("s").to_numpy()
        values = np.full(len(items), np.nan, np.float32)
        segment = {"gender": "F" if int(user_id[1:]) % 2 else "M"}
        now = int(CHECKERBOARD_END.timestamp())
        return RetrievalQuery(now, History.without_types(items, seconds, values), segment, excluded=np.unique(items))


@cache
def checkerboard() -> Checkerboard:
    """The checkerboard world, its rows shuffled."""
    rows, held_out = [], {}
    for user in range(24):
        parity = user % 2
        own = [item for item in range(CHECKERBOARD_ITEMS) if item % 2 == parity]
        left_out = own[(user // 2) % len(own)]
        held_out[f"u{500 + user}"] = left_out
        # Four visits, days apart, so that there are next visits and people who return.
        for place, item in enumerate(item for item in own if item != left_out):
            moment = START + timedelta(days=4 * place, seconds=37 * user)
            rows.append((f"u{500 + user}", f"i{100 + item}", "view", moment, None, None, None))
    interactions = pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row").sample(fraction=1, shuffle=True, seed=5)
    numbers = range(CHECKERBOARD_ITEMS)
    items = pl.DataFrame(
        {
            "item_id": [f"i{100 + item}" for item in numbers],
            "title": [f"Square {item}" for item in numbers],
            "categories": [["odd" if item % 2 else "even"] for item in numbers],
            "text": [None] * CHECKERBOARD_ITEMS,
            "price": [None] * CHECKERBOARD_ITEMS,
            "created_ts": [None] * CHECKERBOARD_ITEMS,
            "release_year": [2000 + item if item else None for item in numbers],
            "in_stock": [None] * CHECKERBOARD_ITEMS,
            "attributes": [None] * CHECKERBOARD_ITEMS,
        },
        schema=ITEMS_SCHEMA,
    ).reverse()
    users = pl.DataFrame(
        {
            "user_id": list(held_out),
            "signup_ts": [None] * 24,
            "age": [20] * 24,
            "gender": ["F" if user % 2 else "M" for user in range(24)],
            "occupation": [None] * 24,
            "device": [None] * 24,
            "day_part": [None] * 24,
            "entry_page": [None] * 24,
        },
        schema=USERS_SCHEMA,
    )
    return Checkerboard(CanonicalTables(interactions, items, users), Catalogue.from_items(items), held_out)


def proposed(generator: Generator, query: RetrievalQuery, k: int) -> tuple[ItemIdxArray, FloatArray]:
    """The items that a generator proposes for one query alone, and their scores."""
    return generator.encode(QueryBatch.of([query])).propose(k).of_query(0)


def scored(generator: Generator, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
    """(n,) a generator's scores of these items for one query alone."""
    return generator.encode(QueryBatch.of([query])).score(RaggedItems.of([item_idx]))


def gathered(
    generators: Mapping[str, Generator], query: RetrievalQuery, quotas: Mapping[str, int], n_ranked: int
) -> CandidateSet:
    """The candidates of one query alone."""
    queries = QueryBatch.of([query])
    return gather(encode_all(generators, queries), queries, quotas, n_ranked)


@cache
def checkerboard_generators() -> dict[str, Generator]:
    """Every generator, fitted on the checkerboard."""
    return every_generator(checkerboard().tables, checkerboard().catalogue)


def every_generator(tables: CanonicalTables, catalogue: Catalogue) -> dict[str, Generator]:
    """Every generator, fitted on the interactions of the checkerboard; of the deep ones, see DEEP_SETTINGS."""
    settings = ALL_CANDIDATE_SETTINGS.model_copy(update=DEEP_FITTED)
    with in_own_project(), TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patched:
        patched.setenv(
            "SLATE_HOME", home
        )  # where guests are trained: that project is no checkout, which would have one
        fitted = fit_generators(tables, catalogue, CHECKERBOARD_END, settings, seed=7)
        # What is written of an even item is like what is written of the others, and unlike what is of an odd one.
        written = replace(catalogue, content=np.eye(2, dtype=np.float32)[np.arange(len(catalogue)) % 2])
        fitted["similar_texts"] = fit_one("similar_texts", tables, written, CHECKERBOARD_END, settings, seed=7)
    kept = {name: load_generator(DEEP_LEARNT, name, catalogue) for name in DEEP_SETTINGS if name not in fitted}
    return {**fitted, **kept}


_USER_SCHEMA = FeatureSchema(Entity.USER, (FeatureSpec("user_event_count_total", 0.0, 365.0),))
_ITEM_FEATURES = (FeatureSpec("item_event_count_total", 0.0, 365.0), FeatureSpec("item_value_mean_total", 3.5, 365.0))
_ITEM_SCHEMA = FeatureSchema(Entity.ITEM, _ITEM_FEATURES)


@dataclass(frozen=True)
class Schemas:
    """Two small feature schemas."""

    user: FeatureSchema = _USER_SCHEMA
    item: FeatureSchema = _ITEM_SCHEMA
    fingerprint: str = "5c4e3a"


def feature_rows(values: list[list[float]]) -> ReadRows:
    """Rows with these values, all of them known; NaN is missing, and has no default."""
    rows = np.array(values, np.float32)
    return ReadRows(rows, np.ones(len(values), bool), np.isnan(rows), np.zeros(len(values), np.int64))


def interactions(*rows: tuple[str, int, float]) -> Interactions:
    """Views of the checkerboard's items. rows: person, item index, days after START."""
    table = pl.DataFrame(
        [(user, f"i{100 + item}", "view", START + timedelta(days=day), None, None, None) for user, item, day in rows],
        schema=INTERACTIONS_SCHEMA,
        orient="row",
    )
    return Interactions.of(table, checkerboard().catalogue.ids)
