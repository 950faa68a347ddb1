"""Parameters `promotion`: what a release must show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.settings.canary import CanarySettings
from contracts.settings.drift import DriftSettings
from contracts.settings.group import Group

REQUESTER = r"^(cli:[^\s:]+|token:[0-9a-f]{64})$"


class PromotionSettings(Group):
    """after_training: what a scheduled training does with its release; rule: `non_inferiority` asks that the lower end
    of the paired 95% interval of NDCG@10 against the release in production is above -max_ndcg_loss, `superiority` that
    it is above 0. max_ndcg_loss also holds against popular items, and is NDCG as it stands, no share.
    min_gain_over_popular: by how much the mean must be ahead of popular items, measured when the release was built.

    max_tier_loss: the same for each group of newcomers; of fewer than min_people nobody is judged.
    min_ndcg: floor of the NDCG@10 measured. max_relative_loss_*: the share of the champion's figure that may be lost;
    max_popularity_share_gain: places more, as a share of all, that the most popular items may take.
    parity_sample: people, and items, whose values are read online and offline; min_parity_requests: answers of the
    release that the last `slate parity` must have computed again, 0 asks for none; max_parity_share: of the values in
    them, those that may be at fault; max_p99_ratio: the 99th percentile of the
    time its answers take, over that of the release in production, at the lower end of the 95% interval; max_p99_ms:
    that time itself, on this machine; null asks for none.
    max_age_days: of the end of its data, by the release's clock (release/gates/data_gates.py); drift: of its data
    against that of the release in production.
    allowed_requesters: who may promote, `cli:<user of the machine>` or `token:<sha256 of a token>`; none: everybody.
    canary: its guard."""

    after_training: Literal["none", "staging", "production"]
    allowed_requesters: list[Annotated[str, Field(pattern=REQUESTER)]]
    rule: Literal["non_inferiority", "superiority"]
    max_ndcg_loss: float = Field(ge=0, le=1)
    max_tier_loss: float = Field(ge=0, le=1)
    min_people: int = Field(ge=1)
    min_ndcg: float = Field(ge=0, le=1)
    min_gain_over_popular: float = Field(ge=-1, le=1)
    max_relative_loss_diversity: float = Field(ge=0, le=1)
    max_relative_loss_novelty: float = Field(ge=0, le=1)
    max_relative_loss_coverage: float = Field(ge=0, le=1)
    max_popularity_share_gain: float = Field(ge=0, le=1)
    parity_sample: int = Field(ge=1, le=100_000)
    min_parity_requests: int = Field(ge=0)
    max_parity_share: float = Field(ge=0, le=1)
    max_p99_ratio: float = Field(ge=1)
    max_p99_ms: float | None = Field(gt=0)
    max_age_days: float = Field(gt=0)
    drift: DriftSettings
    canary: CanarySettings
