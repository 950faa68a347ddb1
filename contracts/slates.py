"""A question and its answer: what is asked of a release, and the slate that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from contracts.errors import WrongInput
from contracts.filters import Filter, filter_of
from contracts.ids import ItemId, SessionId, UserId


class Tier(StrEnum):
    """How much was known of the person; named in every answer."""

    PERSONAL = "personal"
    SESSION = "session"
    ONBOARDED = "onboarded"
    CONTEXTUAL = "contextual"
    POPULAR = "popular"


class Surface(StrEnum):
    """Where the slate is shown."""

    HOME = "home"
    ITEM = "item"


@dataclass(frozen=True)
class Preferences:
    """What a newcomer said they like: categories and items."""

    categories: tuple[str, ...] = ()
    item_ids: tuple[ItemId, ...] = ()


DEFAULT_K: Final = 10  # items, where nobody says how many
MOST_PREFERRED: Final = 100  # items that a request may say are liked


@dataclass(frozen=True)
class RecommendRequest:
    """One question. `context` holds what is known of the moment or the person: age, gender, occupation, device...

    filter: what every item of the answer must satisfy; None for no condition.
    placement: where the slate is shown; None for the placement that is called as the surface. without_rules: those of
    its rules that are left out, to see what they do.
    seed: draws of exploration come from it and the request alone, so that the same request can be answered again.
    """

    request_id: str
    user_id: UserId | None = None
    session_id: SessionId | None = None
    surface: Surface = Surface.HOME
    item_id: ItemId | None = None
    preferences: Preferences = Preferences()
    context: dict[str, str] = field(default_factory=dict)
    k: int = DEFAULT_K
    seed: int = 0
    explain: bool = False
    filter: Filter | None = None
    placement: str | None = None
    without_rules: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The request as `from_json` reads it; without what came later, as requests were written before."""
        # Not `asdict`, which copies every value: a server does this for each request.
        content = {**vars(self), "preferences": {**vars(self.preferences)}}
        del content["filter"]
        for name in ("placement", "without_rules"):
            if not content[name]:
                del content[name]
        return content if self.filter is None else {**content, "filter": self.filter.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RecommendRequest:
        """The request that `to_json` made this of; raises KeyError, TypeError or ValueError for another."""
        preferences = Preferences(tuple(value["preferences"]["categories"]), tuple(value["preferences"]["item_ids"]))
        own: dict[str, Any] = {**value, "surface": Surface(value["surface"]), "preferences": preferences}
        own["without_rules"] = tuple(value.get("without_rules", ()))
        try:
            return cls(**(own | {"filter": filter_of(value["filter"])} if "filter" in value else own))
        except WrongInput as error:
            raise ValueError(error.problem) from error


@dataclass(frozen=True)
class SlateItem:
    """One item at one position.

    source: the generator that placed it best, or did most for it where ranks are fused; propensity: the chance that the
    policy shows it at this position; reasons: sentences for people, best first, empty unless asked; rules: of the
    placement, those that raised or lowered its score or put it there.
    """

    item_id: ItemId
    title: str
    position: int
    score: float
    source: str
    propensity: float
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slate:
    """The answer: positions from 1, and which release, generation and tier it stands on.

    degraded: what was missing or slow while answering, empty when all went well. placement: where it is shown; rules:
    those of that placement that held for this request.
    """

    request_id: str
    release_id: str
    generation_id: str
    tier: Tier
    policy_id: str
    degraded: tuple[str, ...]
    items: tuple[SlateItem, ...]
    timings_ms: dict[str, float]
    placement: str = Surface.HOME.value
    rules: tuple[str, ...] = ()
