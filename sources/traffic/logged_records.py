"""Records of the event log as rows: impressions, interactions, and those that cannot be read, kept as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from contracts.events import EventType
from contracts.logged_slates import impressions_of
from contracts.tables import IMPRESSIONS_SCHEMA, INTERACTIONS_SCHEMA, UTC_TIME

# `event_id` is unique to a row: one written twice is recognised. `filter`: what every item of the slate had to
# satisfy, as JSON; null where nothing was asked. It is for who reads these days; no table of a source has it.
LOGGED = {
    "impressions": pl.Schema({**IMPRESSIONS_SCHEMA, "event_id": pl.String(), "filter": pl.String()}),
    "interactions": pl.Schema({**INTERACTIONS_SCHEMA, "event_id": pl.String()}),
    # Its id and time are those of its entry in the stream.
    "unreadable": pl.Schema(
        {"event_ts": UTC_TIME, "event_id": pl.String(), "record": pl.String(), "reason": pl.String()}
    ),
}
# A time outside of this is wrong, and some time zone's calendar cannot hold it.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))]
EventId = Annotated[str, Field(min_length=1)]


class _Record(BaseModel):
    event_ts: Moment
    request_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None


class _Shown(_Record):
    policy_id: str | None = None
    release_id: str | None = None
    generation_id: str | None = None
    tier: str | None = None
    surface: str | None = None
    arm: str | None = None
    degraded: list[str] = []
    filter: str | None = None


class _ImpressionRecord(_Shown):
    event_type: Literal[EventType.IMPRESSION]
    event_id: EventId
    item_id: str | None = None
    position: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    propensity: float | None = None


class _SlateRecord(_Shown):
    event_type: Literal["slate"]
    format_version: Literal[1]
    request_id: EventId
    item_ids: list[str]
    propensity: float | list[float]

    @model_validator(mode="after")
    def _a_propensity_for_each(self) -> Self:
        if isinstance(self.propensity, list) and len(self.propensity) != len(self.item_ids):
            raise ValueError(f"{len(self.propensity)} propensities of {len(self.item_ids)} items")
        return self


class _InteractionRecord(_Record):
    event_type: Literal[
        EventType.VIEW,
        EventType.CLICK,
        EventType.ADD_TO_CART,
        EventType.PURCHASE,
        EventType.RATING,
        EventType.SHARE,
        EventType.SIGNUP,
        EventType.LIKE,
        EventType.SAVE,
        EventType.COMMENT,
        EventType.RETURN,
    ]
    event_id: EventId
    item_id: str | None = None
    value: float | None = None


_RECORD: TypeAdapter[_ImpressionRecord | _SlateRecord | _InteractionRecord] = TypeAdapter(
    Annotated[_ImpressionRecord | _SlateRecord | _InteractionRecord, Field(discriminator="event_type")]
)


def rows_by_table(ids: Sequence[str], records: Sequence[bytes]) -> dict[str, pl.DataFrame]:
    """The records by table (see LOGGED), in their order. ids: of their entries in the stream."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in LOGGED}
    for entry_id, record in zip(ids, records, strict=True):
        try:
            read = _RECORD.validate_json(record)
        except ValidationError as error:
            rows["unreadable"].append(_unreadable(entry_id, record, error))
        else:
            if isinstance(read, _SlateRecord):
                rows["impressions"] += impressions_of(vars(read))
            else:
                rows["impressions" if isinstance(read, _ImpressionRecord) else "interactions"].append(vars(read))
    return {name: pl.DataFrame(rows[name], schema=schema) for name, schema in LOGGED.items()}


def _unreadable(entry_id: str, record: bytes, error: ValidationError) -> dict[str, Any]:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return {
        "event_ts": datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC),
        "event_id": entry_id,
        "record": record.decode(errors="replace"),
        "reason": f"{where}: {first['msg']}" if where else first["msg"],
    }
