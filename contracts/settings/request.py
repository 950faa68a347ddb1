"""Parameters `request`: how a release answers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator, model_validator

from contracts.events import POSITIVE_EVENTS, EventType
from contracts.settings.diversity import DiversitySettings
from contracts.settings.group import Group
from contracts.settings.placement_names import ITEM
from contracts.settings.placements import BUILT_IN, MOST_ITEMS, Name, Placement
from contracts.settings.search_range import SearchRange

LEAST_RANKED: Final = 10  # the fewest candidates that a release may be set to rank


class RequestSettings(Group):
    """How a release answers. quotas: candidates asked of each generator; n_ranked: most that are ranked;
    personal_min_events: history that makes a person `personal`; relevance_weight: 1 keeps the ranker's order,
    less trades it for diversity; exploration_share: chance that a position of the tail is drawn at random.
    excluding_events: the types of event after which an item is not shown to the person again, null for all;
    excluded_days: for how long after the event, null for ever.
    segments_of_people: whether what is published of a person (`user_age`, `user_gender_female`) tells their segment
    where their request does not. diversity: what a slate is chosen by beside relevance, in place of relevance_weight.
    placements: of placements.yaml, and what params.yaml has otherwise, by name.
    """

    quotas: Annotated[dict[str, int], SearchRange(0, 200, step=10)]
    n_ranked: Annotated[int, SearchRange(50, 1000, log=True)] = Field(ge=LEAST_RANKED, le=5000)
    personal_min_events: Annotated[int, SearchRange(1, 20)] = Field(ge=1)
    relevance_weight: Annotated[float, SearchRange(0.5, 1)] = Field(gt=0, le=1)
    exploration_share: float = Field(ge=0, lt=1)
    max_k: int = Field(ge=1, le=MOST_ITEMS)
    # Releases from before these parameters have none of them.
    excluding_events: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    excluded_days: float | None = Field(default=None, gt=0)
    segments_of_people: bool = False
    diversity: DiversitySettings = DiversitySettings()
    placements: dict[Name, Placement] = Field(default={})

    @field_validator("placements", mode="before")
    @classmethod
    def _item_stands_beside_one(cls, placements: Any) -> Any:
        """`item` stands beside an item without saying so."""
        own = placements.get(ITEM) if isinstance(placements, Mapping) else None
        return {**placements, ITEM: {"beside_item": True, **own}} if isinstance(own, Mapping) else placements

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

    @model_validator(mode="after")
    def _placements_change_what_there_is(self) -> RequestSettings:
        for name, placement in self.placements.items():
            if name in BUILT_IN and placement.beside_item is not BUILT_IN[name].beside_item:
                expected = str(BUILT_IN[name].beside_item).lower()
                raise ValueError(f"placements.{name}.beside_item is always {expected}")
            if "placements" in placement.request:
                raise ValueError(f"placements.{name}.request.placements is unknown: no placement has others within it")
            try:
                changed = self._changed_by(placement)
            except ValidationError as error:
                raise ValueError(f"placements.{name}.request.{_first_problem(error)}") from error
            if placement.fills_places and changed.exploration_share:
                raise ValueError(
                    f"placements.{name} has rules that fill places, and exploration_share "
                    f"{changed.exploration_share:g}: what is drawn at random keeps no rule. "
                    "Set request.exploration_share of this placement to 0"
                )
        return self

    @property
    def all_placements(self) -> dict[str, Placement]:
        """Those declared, and those that are always there."""
        return {**BUILT_IN, **self.placements}

    def at(self, placement: str) -> RequestSettings:
        """These parameters as they are at a placement; raises KeyError where there is none of that name."""
        return self._changed_by(self.all_placements[placement])

    def _changed_by(self, placement: Placement) -> RequestSettings:
        if not placement.request:
            return self
        own = self.model_dump(exclude={"placements"})
        groups = {
            name: {**own[name], **value} for name, value in placement.request.items() if _is_group(own, name, value)
        }
        changed = RequestSettings.model_validate({**own, **placement.request, **groups, "placements": {}})
        return changed.model_copy(update={"placements": self.placements})


def _is_group(own: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether parameters of a group are changed one by one, as quotas and diversity are."""
    return isinstance(own.get(name), Mapping) and isinstance(value, Mapping)


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{name} is {problem['input']!r}: {problem['msg']}"
    close = difflib.get_close_matches(name, list(RequestSettings.model_fields), n=1)
    return f"{name} is unknown." + (f" Did you mean {close[0]}?" if close else "")
