"""Parameters `ranking`: the ranker."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class RankingSettings(Group):
    """LightGBM LambdaRank; names as in LightGBM, spelt out.

    max_queries: that are asked, to learn from the answers. Of many people the latest snapshots are enough, and of each
    of them a sample.
    """

    n_trees: int = Field(ge=1, le=10_000)
    n_leaves: int = Field(ge=2, le=1024)
    learning_rate: float = Field(gt=0, le=1)
    min_rows_per_leaf: int = Field(ge=1)
    feature_share: float = Field(gt=0, le=1)
    row_share: float = Field(gt=0, le=1)
    l2: float = Field(ge=0)
    early_stopping_rounds: int = Field(ge=1)
    n_threads: int = Field(ge=1, le=64)
    max_queries: int = Field(ge=100)
