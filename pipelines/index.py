"""Stage `index`: a vector index over the items of ALS, and its recall against exact search, measured.

Measured among all items, and among those of each of the largest categories, as a filter has it.

models/candidates/<cutoff>, data/valid, data/features/split.json -> models/index/<cutoff>/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl

from contracts.errors import ArtefactError
from contracts.filters import Condition, Operator
from contracts.id_map import IdMap
from contracts.ids import FloatArray
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.settings.index import IndexKind, IndexSettings
from contracts.tables import CanonicalTables
from pipelines.matrix_run import emptied, load_split, run_matrix_stage
from pipelines.paths import CANDIDATES, INDEX, VALID, Cutoff
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.filters import CatalogueFilters
from recommender.generators.als import AlsGenerator
from recommender.generators.sets import GeneratorSet, load_generators
from recommender.index.recall import with_recall
from recommender.index.vector_index import VectorIndex
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery

N_CATEGORIES = 10  # under a filter of each of which recall is measured as well
AUTOMATIC: Final[tuple[IndexKind, ...]] = ("ivf_sq8", "ivf_flat", "flat")  # the smallest and quickest first
QUICK_SHARE: Final = 0.99  # of the searches look at no more vectors than a small catalogue has
N_MEASURED = 500  # people whose vectors are searched: a recall of 0.95 is then known to about 0.01


class Params(Group):
    """What the stage reads of params.yaml."""

    index: IndexSettings
    seed: Seed


def run(settings: Params, cutoff: Cutoff) -> dict[str, Any]:
    """Write the index with its recall; returns what it is. Raises ArtefactError under `index.min_recall`."""
    generators = load_generators(CANDIDATES / cutoff)
    interactions = CanonicalTables.load(VALID, impressions=False).interactions
    measured = index_of(generators, interactions, load_split().end(cutoff), settings.index, settings.seed)
    measured.save(emptied(INDEX / cutoff))
    least, _ = measured.least_recall
    return {
        "n_vectors": len(measured.item_idx),
        "kind": measured.kind,
        "recall": measured.recall,
        "least_recall_of_a_category": least,
    }


def index_of(
    generators: GeneratorSet, interactions: pl.DataFrame, end: datetime, settings: IndexSettings, seed: int
) -> VectorIndex:
    """The index of these generators, its recall measured with people as they were before `end`.

    Raises ArtefactError under `index.min_recall`, and where there is no ALS.
    """
    als, catalogue = generators.by_name["als"], generators.catalogue
    if not isinstance(als, AlsGenerator):
        raise ArtefactError("The generators hold no ALS to index.", "Run `dvc repro candidates`.")
    seen = Interactions.of(interactions.filter(pl.col("event_ts") < end), catalogue.ids)
    queries = sample_user_vectors(als, seen, np.random.default_rng(seed))
    measured = best_index(als.item_factors, catalogue.ids, queries, category_filters(catalogue), settings)
    check_recall(measured, settings)
    return measured


def best_index(
    vectors: FloatArray,
    ids: IdMap,
    queries: FloatArray,
    filters: Mapping[str, AllowedItems],
    settings: IndexSettings,
) -> VectorIndex:
    """The index of these vectors, searched with as much effort as `min_recall` needs, or as there is.

    Where no kind is named, the exact one that looks at the longest vectors first, if these are few. Else the first of
    AUTOMATIC that finds enough: a byte a number may tell too little of lengths that are neither equal nor so uneven.
    """
    for index in _indices_to_try(vectors, ids, queries, settings):
        measured = with_recall(index, vectors, queries, settings.recall_k, filters, settings.min_recall)
        if measured.is_enough(settings.min_recall):
            break
        print(f"index: of kind {measured.kind} it finds {measured.least_recall[0]:.3f}, however much is looked at")
    return measured


def _indices_to_try(
    vectors: FloatArray, ids: IdMap, queries: FloatArray, settings: IndexSettings
) -> Iterator[VectorIndex]:
    """Each is built when it is asked for."""
    if settings.kind != "auto":
        yield VectorIndex.build(vectors, ids, settings)
        return
    by_length = VectorIndex.build(vectors, ids, settings.model_copy(update={"kind": "by_length"}))
    n_looked_at = by_length.n_looked_at(queries, settings.recall_k)
    if len(queries) and np.quantile(n_looked_at, QUICK_SHARE) <= settings.exact_below:
        yield by_length
        return
    del by_length  # as large as the vectors
    for kind in AUTOMATIC:
        yield VectorIndex.build(vectors, ids, settings.model_copy(update={"kind": kind}))


def category_filters(catalogue: Catalogue) -> dict[str, AllowedItems]:
    """The items of each of the N_CATEGORIES largest categories, by name."""
    filters = CatalogueFilters(catalogue, "of this build")
    sizes = np.bincount(catalogue.category_idx, minlength=len(catalogue.category_names))
    largest = np.lexsort((np.arange(len(sizes)), -sizes))[:N_CATEGORIES]
    names = [catalogue.category_names[category] for category in largest.tolist()]
    wanted = {name: filters.allowed(Condition("categories", Operator.EQUALS, name)) for name in names}
    return {name: allowed for name, allowed in wanted.items() if allowed is not None}


def sample_user_vectors(als: AlsGenerator, interactions: Interactions, rng: np.random.Generator) -> FloatArray:
    """(n_sampled, factors) the vectors of at most N_MEASURED people, folded in from their histories."""
    n_users = len(interactions.user_ids)
    sampled = np.sort(rng.choice(n_users, min(N_MEASURED, n_users), replace=False))
    last_ts = int(interactions.event_ts.max(initial=0)) + 1
    queries = [RetrievalQuery(last_ts, interactions.history(user, 0, last_ts)) for user in sampled]
    folded = als.fold_in(QueryBatch.of(queries))
    return folded.vectors[folded.is_known]


def check_recall(index: VectorIndex, settings: IndexSettings) -> None:
    """Refuse an index that finds too little of what exact search finds, among all items or those of a category."""
    least, category = index.least_recall
    if least < settings.min_recall:
        among = f" among the items of category {category!r}" if category else ""
        raise ArtefactError(
            f"The index, of kind {index.kind}, finds {least:.3f} of what exact search finds at {index.recall_k}"
            f"{among}; index.min_recall is {settings.min_recall}.",
            _how_to_find_more(index),
        )


def _how_to_find_more(index: VectorIndex) -> str:
    if index.is_exact:  # ties count as found, so that it must find all
        return "An exact kind misses nothing: this is a fault of Slatework. Until it is mended, set another index.kind."
    effort = "index.hnsw_ef_search" if index.kind == "hnsw" else "index.ivf_probes"
    return f"Raise {effort} in params.yaml, set another index.kind, or lower index.min_recall."


if __name__ == "__main__":
    run_matrix_stage("index", Params, run)
