"""Parameters `request`: how a release answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from contracts.events import POSITIVE_EVENTS, EventType
from contracts.settings.diversity import DiversitySettings
from contracts.settings.group import Group
from contracts.settings.search_range import SearchRange


class RequestSettings(Group):
    """How a release answers. quotas: candidates asked of each generator; n_ranked: most that are ranked;
    personal_min_events: history that makes a person `personal`; relevance_weight: 1 keeps the ranker's order,
    less trades it for diversity; exploration_share: chance that a position of the tail is drawn at random.
    excluding_events: the types of event after which an item is not shown to the person again, null for all;
    excluded_days: for how long after the event, null for ever.
    segments_of_people: whether what is published of a person (`user_age`, `user_gender_female`) tells their segment
    where their request does not. diversity: what a slate is chosen by beside relevance, in place of relevance_weight.
    """

    quotas: Annotated[dict[str, int], SearchRange(0, 200, step=10)]
    n_ranked: Annotated[int, SearchRange(50, 1000, log=True)] = Field(ge=10, le=5000)
    personal_min_events: Annotated[int, SearchRange(1, 20)] = Field(ge=1)
    relevance_weight: Annotated[float, SearchRange(0.5, 1)] = Field(gt=0, le=1)
    exploration_share: float = Field(ge=0, lt=1)
    max_k: int = Field(ge=1, le=500)
    # Releases from before these parameters have none of them.
    excluding_events: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    excluded_days: float | None = Field(default=None, gt=0)
    segments_of_people: bool = False
    diversity: DiversitySettings = DiversitySettings()

    @model_validator(mode="after")
    def _quotas_are_counts(self) -> RequestSettings:
        for name, quota in self.quotas.items():
            if not 0 <= quota <= 5000:
                raise ValueError(f"quotas.{name} is {quota}; expected 0 to 5000")
        return self

    @model_validator(mode="after")
    def _one_rule_diversifies(self) -> RequestSettings:
        if self.relevance_weight < 1 and self.diversity.method != "none":
            raise ValueError(
                f"relevance_weight is {self.relevance_weight:g} and diversity.method {self.diversity.method}; "
                "only one of them orders a slate: set relevance_weight to 1, or the method to none"
            )
        return self

    @model_validator(mode="after")
    def _events_say_that_an_item_is_wanted(self) -> RequestSettings:
        others = sorted(set(self.excluding_events or ()) - POSITIVE_EVENTS)
        if others:
            known = ", ".join(sorted(POSITIVE_EVENTS))
            raise ValueError(f"excluding_events has {', '.join(others)}; histories hold events of the types {known}")
        return self
