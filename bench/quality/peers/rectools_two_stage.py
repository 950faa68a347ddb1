"""RecTools' `CandidateRankingModel`: five generators, and CatBoost's ranker over their scores and ranks.

People's ages and items' categories are not given to it; scores, ranks, and how much people and items were active are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pandas as pd
from catboost import CatBoostRanker
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from rectools import Columns
from rectools.dataset import Dataset
from rectools.model_selection import TimeRangeSplitter
from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PopularModel
from rectools.models.ranking import (
    CandidateFeatureCollector,
    CandidateGenerator,
    CandidateRankingModel,
    CatBoostReranker,
    PerUserNegativeSampler,
)

from bench.quality.peers.exchange import Recommend, Train, run_peer
from bench.quality.peers.rectools_data import dataset_of, recommender_of

N_CANDIDATES = 100  # of each generator
RECENT_DAYS = 30


class ActivityFeatures(CandidateFeatureCollector):
    """How many events people and items have, and days from the item's last event to the end of what is known."""

    def _get_user_features(self, users: Any, dataset: Dataset, fold_info: Any) -> pd.DataFrame:  # noqa: ARG002 - API
        return _counted(dataset.get_raw_interactions(), Columns.User, "user").reset_index()

    def _get_item_features(self, items: Any, dataset: Dataset, fold_info: Any) -> pd.DataFrame:  # noqa: ARG002 - API
        events = dataset.get_raw_interactions()
        recent = events[events[Columns.Datetime] > events[Columns.Datetime].max() - timedelta(days=RECENT_DAYS)]
        features = _counted(events, Columns.Item, "item")
        features["item_recent_events"] = recent.groupby(Columns.Item).size().reindex(features.index, fill_value=0)
        return features.reset_index()


def _counted(events: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    end, grouped = events[Columns.Datetime].max(), events.groupby(key)[Columns.Datetime]
    days_since = (end - grouped.max()).dt.total_seconds() / 86_400
    return pd.DataFrame({f"{name}_events": grouped.count(), f"{name}_days_since_last": days_since})


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:
    """parameters: target_days, the length of the window that the ranker learns from; iterations, of CatBoost."""
    dataset = dataset_of(train)
    als = AlternatingLeastSquares(factors=32, regularization=0.05, alpha=10.0, random_state=seed, num_threads=2)
    models = [
        PopularModel(),
        PopularModel(period=timedelta(days=RECENT_DAYS)),
        ImplicitALSWrapperModel(als),
        ImplicitItemKNNWrapperModel(CosineRecommender(K=100)),
        EASEModel(regularization=200),
    ]
    ranker = CatBoostRanker(
        loss_function="YetiRank",
        iterations=parameters["iterations"],
        depth=4,
        random_seed=seed,
        thread_count=2,
        verbose=False,
        allow_writing_files=False,
    )
    model = CandidateRankingModel(
        [CandidateGenerator(one, N_CANDIDATES, keep_ranks=True, keep_scores=True) for one in models],
        TimeRangeSplitter(f"{parameters['target_days']}D", n_splits=1),
        CatBoostReranker(ranker),
        PerUserNegativeSampler(100, random_state=seed),
        ActivityFeatures(),
    )
    model.fit(dataset)
    return recommender_of(model, dataset)


if __name__ == "__main__":
    run_peer(fit)
