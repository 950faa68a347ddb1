"""Item factors from Spark MLlib keep the promise of those of this process: on the checkerboard, and for real people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from contracts.features import History
from contracts.home import find_home
from contracts.ids import ItemIdxArray
from contracts.settings.candidates import AlsSettings
from recommender.catalogue import Catalogue
from recommender.generators.als import AlsGenerator
from recommender.interactions import Interactions, KnownEvents
from recommender.judging.hits import Hits, ndcg
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.movielens import read_movielens
from tests.recommender_worlds import CHECKERBOARD_END, checkerboard, proposed
from tests.spark import needs_spark

pytestmark = [
    # py4j leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
N_LATE = 10
SPARK = {"engine": "spark"}


@dataclass(frozen=True)
class LeftOut:
    """MovieLens 100K without each person's latest ten events. wanted: a row a person, in the order of `known`."""

    known: Interactions
    catalogue: Catalogue
    wanted: RaggedItems

    def ndcg_of(self, als: AlsGenerator) -> float:
        """The mean over all people, of ten items each."""
        queries = QueryBatch.of([self._query(person) for person in range(len(self.wanted))])
        proposals = als.encode(queries).propose(10)
        hits = Hits.of(RaggedItems(proposals.offsets, proposals.item_idx), self.wanted)
        return float(ndcg(hits, 10).mean())

    def _query(self, person: int) -> RetrievalQuery:
        of_person = slice(self.known.bounds[person], self.known.bounds[person + 1])
        items, event_ts = self.known.item_idx[of_person], self.known.event_ts[of_person]
        history = History.without_types(items, event_ts, np.full(len(items), np.nan, np.float32))
        return RetrievalQuery(int(self.known.event_ts.max()) + 1, history, {}, excluded=np.unique(items))


@pytest.fixture(scope="module")
def left_out() -> LeftOut:
    tables = read_movielens(fetch_movielens_100k(find_home()))
    places_from_the_end = pl.int_range(pl.len(), 0, -1).over("user_id")
    events = tables.interactions.sort("user_id", "event_ts", "item_id").with_columns(from_end=places_from_the_end)
    late, early = events.filter(pl.col("from_end") <= N_LATE), events.filter(pl.col("from_end") > N_LATE)
    catalogue = Catalogue.from_items(tables.items)
    known = KnownEvents.of(early.drop("from_end"), catalogue.ids).before(events["event_ts"].max())
    wanted: list[ItemIdxArray] = [
        np.unique(catalogue.ids.indices(late.filter(pl.col("user_id") == user_id)["item_id"]))
        for user_id in known.user_ids
    ]
    return LeftOut(known, catalogue, RaggedItems.of(wanted))


@needs_spark
def test_what_each_person_left_out_of_the_checkerboard_comes_first() -> None:
    world = checkerboard()
    settings = AlsSettings(factors=2, regularization=0.05, alpha=10, iterations=20, **SPARK)
    known = KnownEvents.of(world.tables.interactions, world.catalogue.ids).before(CHECKERBOARD_END)
    als = AlsGenerator.fit(known, world.catalogue, settings, seed=7)
    for user_id, left_out in world.held_out.items():
        items, _ = proposed(als, world.query(user_id), 3)
        assert items[0] == left_out, user_id


@needs_spark
def test_real_people_are_served_as_well_as_by_the_factors_of_this_process(left_out: LeftOut) -> None:
    here = AlsSettings(factors=16, regularization=0.05, alpha=10, iterations=8)
    there = here.model_copy(update=SPARK)
    by_seed = [left_out.ndcg_of(AlsGenerator.fit(left_out.known, left_out.catalogue, here, seed)) for seed in range(5)]
    spread = max(by_seed) - min(by_seed)
    on_spark = AlsGenerator.fit(left_out.known, left_out.catalogue, there, seed=7)
    assert min(by_seed) - spread <= left_out.ndcg_of(on_spark) <= max(by_seed) + spread
    again = AlsGenerator.fit(left_out.known, left_out.catalogue, there, seed=7)
    assert np.array_equal(again.item_factors, on_spark.item_factors)


def test_an_event_that_is_no_surer_than_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="alpha is 1; with `engine: spark` it is above 1"):
        AlsSettings(factors=2, regularization=0.05, alpha=1, iterations=2, engine="spark")
