"""Parameters `ranking`: the ranker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.settings.group import Group
from contracts.settings.search_range import SearchRange


class RankingSettings(Group):
    """LightGBM LambdaRank; names as in LightGBM, spelt out.

    max_queries: that are asked, to learn from the answers. Of many people the latest snapshots are enough, and of each
    of them a sample.
    """

    n_trees: Annotated[int, SearchRange(50, 600)] = Field(ge=1, le=10_000)
    n_leaves: Annotated[int, SearchRange(4, 63, log=True)] = Field(ge=2, le=1024)
    learning_rate: Annotated[float, SearchRange(0.02, 0.3, log=True)] = Field(gt=0, le=1)
    min_rows_per_leaf: Annotated[int, SearchRange(20, 1000, log=True)] = Field(ge=1)
    feature_share: Annotated[float, SearchRange(0.1, 1)] = Field(gt=0, le=1)
    row_share: Annotated[float, SearchRange(0.4, 1)] = Field(gt=0, le=1)
    l2: Annotated[float, SearchRange(0.1, 100, log=True)] = Field(ge=0)
    early_stopping_rounds: int = Field(ge=1)
    n_threads: int = Field(ge=1, le=64)
    max_queries: int = Field(ge=100)
