"""What travels over HTTP: questions and events coming in, typed and bounded, and the shapes of what goes out."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from contracts.calendar import EPOCH
from contracts.errors import WrongInput
from contracts.filters import Filter, filter_of
from contracts.ids import ItemId, SessionId, UserId
from contracts.settings.placements import MOST_ITEMS
from contracts.slates import DEFAULT_K, MOST_PREFERRED, Preferences, RecommendRequest, Surface
from contracts.tables import MAX_ID_LENGTH

MAX_HEAD_BYTES = 16 * 1024  # request line and headers
HEAD_WITHIN_S = 10  # from the connection, or from the first byte of a further request, to the last header
BODY_WITHIN_S = 10
MAX_BODY_BYTES = 256 * 1024  # a full batch of events with ids of ordinary length; longer ids mean smaller batches
MAX_EVENTS = 500
MAX_CONTEXT = 16
MAX_UNKNOWN = 3  # unknown fields that are named one by one
SHOWN_NAME = 40

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
ContextName = Annotated[str, Field(min_length=1, max_length=64)]
ContextValue = Annotated[str, Field(max_length=256)]
DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


class Incoming(BaseModel):
    """A body or a part of one: nothing unknown in it, and no type is converted silently.

    What is wrong in it is collected within bounds: a list is left at its first wrong element, and of many unknown
    fields one sentence is made.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and len(fields) > len(cls.model_fields) + MAX_UNKNOWN:
            unknown = [name for name in fields if name not in cls.model_fields]
            shown = ", ".join(repr(str(name)[:SHOWN_NAME]) for name in unknown[:MAX_UNKNOWN])
            raise ValueError(f"{len(unknown)} fields are unknown here, among them {shown}")
        return fields


FILTER_SCHEMA = {
    "type": "object",
    "description": "A condition `{field, operator, value}`, or `{all: [...]}`, `{any: [...]}`, `{not: {...}}` of such.",
    "examples": [
        {"field": "in_stock", "operator": "equals", "value": True},
        {
            "all": [
                {"field": "price", "operator": "at_most", "value": 50},
                {"not": {"field": "attributes.colour", "operator": "in", "value": ["red", "pink"]}},
            ]
        },
    ],
}


def _read_filter(value: Any) -> Filter | None:
    try:
        return None if value is None else filter_of(value)
    except WrongInput as error:
        raise ValueError(error.problem.removesuffix(".")) from error


WireFilter = Annotated[Filter | None, PlainValidator(_read_filter), WithJsonSchema(FILTER_SCHEMA)]


class StatedPreferences(Incoming):
    """What a newcomer said they like."""

    categories: Annotated[list[Id], FailFast()] = Field(default=[], max_length=32)
    item_ids: Annotated[list[Id], FailFast()] = Field(default=[], max_length=MOST_PREFERRED)

    def __deepcopy__(self, _memo: dict[int, Any] | None = None) -> Self:
        """Itself, for nothing in it changes: as a default it would be copied for each question."""
        return self


class Question(Incoming):
    """A question for a slate: the body of `POST /v1/recommend`. Every field may be left out.

    >>> Question.model_validate({"user_id": "42", "k": 3}).surface
    'home'
    >>> Question.model_validate({"surface": "item", "k": 3})
    Traceback (most recent call last):
    ...
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Question
      Value error, surface `item` needs an `item_id`, and surface `home` takes none ...
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "42", "k": 10},
                {"preferences": {"categories": ["Comedy"]}, "context": {"age": "34"}, "k": 5, "explain": True},
                {"session_id": "s-7", "surface": "item", "item_id": "50", "k": 10},
                {"user_id": "42", "filter": {"field": "in_stock", "operator": "equals", "value": True}},
                {"user_id": "42", "placement": "home", "k": 10},
            ]
        }
    )

    user_id: Id | None = Field(default=None, description="Somebody unknown is answered as a newcomer.")
    session_id: Id | None = Field(default=None, description="The session whose clicks were sent to /v1/events.")
    surface: Literal["home", "item"] = Field(default="home", description="Where the slate is shown, in two words.")
    placement: Id | None = Field(
        default=None, description="Where the slate is shown: a placement of the release. Named, `surface` is left out."
    )
    item_id: Id | None = Field(
        default=None,
        description="The item looked at: with surface `item`, or a placement beside an item.",
    )
    preferences: StatedPreferences = StatedPreferences()
    context: dict[ContextName, ContextValue] = Field(
        default={},
        max_length=MAX_CONTEXT,
        description="Of the moment or the person: age, gender, device...",
    )
    k: int = Field(
        default=DEFAULT_K, ge=1, le=MOST_ITEMS, description="Items wanted; the release may set a lower limit."
    )
    explain: bool = Field(default=False, description="Give the reasons of each item.")
    filter: WireFilter = Field(
        default=None,
        description="What every item must satisfy: categories, price, release_year, in_stock, attributes.<name>.",
    )

    @field_validator("context", mode="before")
    @classmethod
    def _few_circumstances(cls, context: Any) -> Any:
        if isinstance(context, dict) and len(context) > MAX_CONTEXT:
            raise ValueError(f"it has {len(context)} entries; at most {MAX_CONTEXT} are taken")
        return context

    @model_validator(mode="after")
    def _an_item_where_one_is_looked_at(self) -> Self:
        if self.placement is not None:
            if self.surface != "home":
                raise ValueError("send `placement` or `surface`, not both")
        elif (self.item_id is not None) != (self.surface == "item"):
            raise ValueError("surface `item` needs an `item_id`, and surface `home` takes none")
        return self

    def to_request(self, request_id: str, seed: int) -> RecommendRequest:
        """The same question in the words of the request path."""
        return RecommendRequest(
            request_id=request_id,
            user_id=None if self.user_id is None else UserId(self.user_id),
            session_id=None if self.session_id is None else SessionId(self.session_id),
            surface=Surface(self.surface),
            item_id=None if self.item_id is None else ItemId(self.item_id),
            preferences=Preferences(
                tuple(self.preferences.categories), tuple(ItemId(item_id) for item_id in self.preferences.item_ids)
            ),
            context=dict(self.context),
            k=self.k,
            seed=seed,
            explain=self.explain,
            filter=self.filter,
            placement=self.placement,
        )


class SentEvent(Incoming):
    """One thing a person did. Impressions are not sent: the server logs what it shows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"event_type": "click", "session_id": "s-7", "item_id": "50"},
                {"event_type": "rating", "user_id": "42", "item_id": "50", "value": 4.0, "request_id": "5f0c..."},
            ]
        }
    )

    event_type: Literal["view", "click", "add_to_cart", "purchase", "rating", "share", "return", "signup"]
    user_id: Id | None = None
    session_id: Id | None = None
    item_id: Id | None = None
    request_id: Id | None = Field(default=None, description="The answer that showed the item.")
    event_id: Id | None = Field(
        default=None,
        description="The sender's own name of this event: sent again, it counts once, for `serving.event_id_hours`.",
    )
    event_ts: AwareDatetime | None = Field(
        default=None, strict=False, description="ISO 8601 with its zone; the server's now when left out."
    )
    value: float | None = Field(default=None, ge=-1e9, le=1e9, description="Rating, price paid or seconds read.")

    @field_validator("event_ts", mode="before")
    @classmethod
    def _written_as_text(cls, event_ts: Any) -> Any:
        """Without this, numbers and texts of digits would be read as seconds or milliseconds, whichever is likelier."""
        if event_ts is not None and not (isinstance(event_ts, str) and DATE.match(event_ts)):
            raise ValueError("it must be text in ISO 8601, such as 2026-11-29T12:00:00Z")
        return event_ts

    @field_validator("event_ts")
    @classmethod
    def _within_the_calendar(cls, event_ts: datetime | None) -> datetime | None:
        if event_ts is not None and event_ts < EPOCH:
            raise ValueError("before 1970; times are kept as seconds since then")
        return event_ts

    @model_validator(mode="after")
    def _somebody_did_something(self) -> Self:
        if self.user_id is None and self.session_id is None:
            raise ValueError("send a `user_id`, a `session_id` or both: an event belongs to somebody")
        if self.item_id is None and self.event_type != "signup":
            raise ValueError(f"a {self.event_type} needs the `item_id` it was about")
        return self


class EventBatch(Incoming):
    """Several events at once, oldest first; all are taken or none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": [{"event_type": "view", "session_id": "s-7", "item_id": "50"}]}]}
    )

    events: Annotated[list[SentEvent], FailFast()] = Field(min_length=1, max_length=MAX_EVENTS)


def _one_or_batch(body: Any) -> str:
    return "batch" if isinstance(body, EventBatch) or (isinstance(body, dict) and "events" in body) else "event"


SentEvents = Annotated[
    Annotated[SentEvent, Tag("event")] | Annotated[EventBatch, Tag("batch")], Discriminator(_one_or_batch)
]


class ShownItem(BaseModel):
    """One item at one position of a slate."""

    item_id: str
    title: str
    position: int = Field(description="From 1.")
    score: float = Field(description="Higher is better.")
    source: str = Field(description="The generator that placed the item best, or did most for it.")
    propensity: float = Field(description="The chance that the policy shows this item at this position.")
    reasons: list[str]
    rules: list[str] = Field(description="Of the placement: those that moved its score, or put it there.")


class SlateAnswer(BaseModel):
    """The answer to a question: one release and one generation of feature values, from beginning to end."""

    request_id: str
    release_id: str
    generation_id: str
    arm: Literal["production", "canary", "staging"] = Field(description="Which of the releases served at once it was.")
    tier: Literal["personal", "session", "onboarded", "contextual", "popular"]
    policy_id: str
    degraded: list[str] = Field(
        description="What the answer had to do without; empty when all went well. Away or failed: `features`, "
        "`retrieval` or one generator of it (`generator:als`), `ranker`, `reasons`. Shed under load: `candidates` (a "
        "fifth of them was ranked), `person` (what is popular, without a look at who asks or what they have seen)."
    )
    items: list[ShownItem]
    timings_ms: dict[str, float]
    placement: str = Field(description="Where it is shown.")
    rules: list[str] = Field(description="Those of the placement that held for this question.")


class EventsAnswer(BaseModel):
    """accepted: how many events were taken; degraded: what could not be done with them at once.

    duplicates: of them, those whose `event_id` was taken before. unknown_items: those that no release served knows,
    each once; their events are taken like the others. clock, now: by which clock this server answers, and its time.
    """

    accepted: int
    duplicates: int
    degraded: list[str]
    unknown_items: list[str]
    clock: Literal["wall", "release"]
    now: datetime


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class ErrorAnswer(BaseModel):
    """What went wrong, in one sentence, and what to do next."""

    error: str
    message: str
    next_step: str


class NamedRelease(BaseModel):
    """A release that the store names beside production: ready once it answers, problem: why it does not."""

    release_id: str
    generation_id: str
    ready: bool
    problem: ErrorAnswer | None


class NamedCanary(NamedRelease):
    """The canary. share: of the people, 0 to 1."""

    share: float


class Readiness(BaseModel):
    """What is served, and what keeps the server from following the store, if anything does."""

    ready: Literal[True]
    release_id: str
    generation_id: str
    epoch: int
    clock: Literal["wall", "release"]
    now: datetime = Field(description="By that clock.")
    degraded: list[str]
    problem: ErrorAnswer | None
    staged: NamedRelease | None = Field(description="Where `serving.staging_header` is on.")
    canary: NamedCanary | None
