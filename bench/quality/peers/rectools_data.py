"""RecTools' form of what may be learnt from, and its answers as ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models.base import ModelBase

from bench.quality.peers.exchange import Recommend, Train


def dataset_of(train: Train) -> Dataset:
    """The last event of each person with each item; every event weighs 1."""
    events = pd.DataFrame(
        {
            Columns.User: train.user_ids[train.users],
            Columns.Item: train.item_ids[train.items],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(train.event_ts, unit="s"),
        }
    )
    return Dataset.construct(events.drop_duplicates(Columns.UserItem, keep="last"))


def recommender_of(model: ModelBase, dataset: Dataset) -> Recommend:
    """Recommends with a fitted model; who is unknown to it has an empty list."""

    def recommend(user_ids: Sequence[str], k: int) -> list[list[str]]:
        rows = model.recommend(list(user_ids), dataset, k, filter_viewed=True, on_unsupported_targets="ignore")
        lists = rows.sort_values(Columns.Rank).groupby(Columns.User)[Columns.Item].agg(list).to_dict()
        return [lists.get(user_id, []) for user_id in user_ids]

    return recommend
