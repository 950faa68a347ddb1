"""Parameters `promotion.canary`: what ends a canary."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class CanarySettings(Group):
    """What ends a canary by itself. min_people: in either arm, before answers and clicks are judged;
    max_click_loss: the share of production's click-through (of requests) that the candidate may lose;
    max_degraded_share: degraded answers above production's share, 0 to 1; srm_alpha: chance at which people divided as
    the share says would be taken for people lost in one arm."""

    min_people: int = Field(ge=100)
    max_click_loss: float = Field(ge=0, lt=1)
    max_degraded_share: float = Field(ge=0, le=1)
    srm_alpha: float = Field(gt=0, le=0.05)
