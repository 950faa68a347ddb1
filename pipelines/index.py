"""Stage `index`: a vector index over the items of ALS, and its recall against exact search, measured.

models/candidates/<cutoff>, data/valid, data/features/split.json -> models/index/<cutoff>/
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from contracts.errors import ArtefactError
from contracts.ids import FloatArray
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.settings.index import IndexSettings
from contracts.tables import CanonicalTables
from pipelines.matrix_run import emptied, load_split, run_matrix_stage
from pipelines.paths import CANDIDATES, INDEX, VALID, Cutoff
from recommender.generators.als import AlsGenerator
from recommender.generators.sets import load_generators
from recommender.index.vector_index import VectorIndex
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery

N_MEASURED = 500  # people whose vectors are searched: a recall of 0.95 is then known to about 0.01


class Params(Group):
    """What the stage reads of params.yaml."""

    index: IndexSettings
    seed: Seed


def run(settings: Params, cutoff: Cutoff) -> dict[str, Any]:
    """Write the index with its recall; returns both sizes. Raises ArtefactError under `index.min_recall`."""
    generators = load_generators(CANDIDATES / cutoff)
    als = generators.by_name["als"]
    if not isinstance(als, AlsGenerator):
        raise ArtefactError(f"{CANDIDATES / cutoff} holds no ALS to index.", "Run `dvc repro candidates`.")
    interactions = CanonicalTables.load(VALID, impressions=False).interactions
    seen = interactions.filter(pl.col("event_ts") < load_split().end(cutoff))
    queries = sample_user_vectors(
        als, Interactions.of(seen, generators.catalogue.ids), np.random.default_rng(settings.seed)
    )
    index = VectorIndex.build(als.item_factors, generators.catalogue.ids, settings.index)
    measured = index.measured(als.item_factors, queries, settings.index.recall_k)
    check_recall(measured, settings.index)
    measured.save(emptied(INDEX / cutoff))
    return {"n_vectors": len(measured.item_idx), "recall": measured.recall, "exact": measured.is_exact}


def sample_user_vectors(als: AlsGenerator, interactions: Interactions, rng: np.random.Generator) -> FloatArray:
    """(n_sampled, factors) the vectors of at most N_MEASURED people, folded in from their histories."""
    n_users = len(interactions.user_ids)
    sampled = np.sort(rng.choice(n_users, min(N_MEASURED, n_users), replace=False))
    last_ts = int(interactions.event_ts.max(initial=0)) + 1
    queries = [RetrievalQuery(last_ts, interactions.history(user, 0, last_ts)) for user in sampled]
    folded = als.fold_in(QueryBatch.of(queries))
    return folded.vectors[folded.is_known]


def check_recall(index: VectorIndex, settings: IndexSettings) -> None:
    """Refuse an index that finds too little of what exact search finds."""
    if index.recall < settings.min_recall:
        raise ArtefactError(
            f"The index finds {index.recall:.3f} of what exact search finds at {index.recall_k}; "
            f"index.min_recall is {settings.min_recall}.",
            "Raise index.hnsw_ef_search or index.hnsw_links in params.yaml, or lower index.min_recall.",
        )


if __name__ == "__main__":
    run_matrix_stage("index", Params, run)
