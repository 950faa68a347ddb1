"""Files of papers as canonical tables: what has no time gets one, in the way that each protocol calls for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from bench.quality.literature.reading import Event
from contracts.events import EventType
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, CanonicalTables

LAST_DAY: Final = datetime(2030, 1, 1, tzinfo=UTC)  # of what is learnt from, where the files know no time
A_DAY: Final = timedelta(days=1)


def tables_of(events: Iterable[Event], item_ids: Iterable[str]) -> CanonicalTables:
    """Interactions of these events; a catalogue of these items, of which nothing is known but the id."""
    users, items, seconds = zip(*events, strict=True)
    columns = {"user_id": users, "item_id": items, "event_ts": seconds}
    moments = pl.from_epoch(pl.col("event_ts").cast(pl.Int64), "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    interactions = _completed(
        pl.DataFrame(columns).with_columns(event_ts=moments, event_type=pl.lit(str(EventType.CLICK))),
        INTERACTIONS_SCHEMA,
    )
    catalogue = _completed(pl.DataFrame({"item_id": sorted(set(item_ids))}), ITEMS_SCHEMA)
    people = _completed(pl.DataFrame({"user_id": sorted(set(users))}), USERS_SCHEMA)
    return CanonicalTables(interactions.sort("event_ts", "user_id", "item_id"), catalogue, people)


def at_one_moment(items: Mapping[str, tuple[str, ...]]) -> list[Event]:
    """Events without order: all at LAST_DAY."""
    return [(user, item, int(LAST_DAY.timestamp())) for user, own in items.items() for item in own]


def a_day_apart(items: Mapping[str, tuple[str, ...]], n_after: int) -> list[Event]:
    """Each person's items a day apart, aligned at their ends: the last but n_after is at LAST_DAY."""
    return [
        (user, item, int((LAST_DAY + A_DAY * (place + n_after + 1 - len(own))).timestamp()))
        for user, own in items.items()
        for place, item in enumerate(own)
    ]


def _completed(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The rows with every column of the schema, null where they have none."""
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(kind).alias(name) for name, kind in schema.items()
    )
