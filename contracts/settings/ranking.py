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
    monotone: whether a candidate is never scored lower because a generator scores it higher or ranks it better.
    truncation_level: places from the top that LambdaRank looks at, LightGBM's `lambdarank_truncation_level`.
    unwanted_share: of the candidates that nobody wanted, how many are learnt from, drawn once.
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
    # Files of before these parameters have none of them.
    monotone: bool = False
    truncation_level: Annotated[int, SearchRange(5, 40)] = Field(default=20, ge=1, le=1000)
    unwanted_share: Annotated[float, SearchRange(0.2, 1)] = Field(default=1.0, gt=0, le=1)
