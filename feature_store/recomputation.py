"""What readers ought to have given: rows and histories of any keys at any moments, computed again from the canonical
tables by the offline store's own functions.

`expected_rows` is the one place that says what an online row must be: as it was published, and of people the live
features as of the request, which the offline store computes at `now` over the tables up to `as_of` and the recent
events that were logged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import epoch_microseconds
from contracts.errors import ReleaseMismatch
from contracts.events import EventType
from contracts.features import Entity, FeatureSchema, ReadRows
from contracts.id_map import IdMap
from contracts.ids import FloatArray
from contracts.tables import UTC_TIME, CanonicalTables
from feature_store.definitions import features_of
from feature_store.events import positive_events
from feature_store.live import LIVE_NAMES
from feature_store.offline import histories_as_of, point_in_time_join
from feature_store.packing import epoch_seconds
from feature_store.rows import default_rows, usable_rows


@dataclass(frozen=True)
class Key:
    """One row that was read.

    as_of: when it was true; now: when it was read. recent: of a person, what was known of them since: epoch
    microseconds and type.
    """

    entity_id: str
    as_of: datetime
    now: datetime
    recent: tuple[tuple[int, EventType], ...] = ()


@dataclass(frozen=True)
class ExpectedHistory:
    """n_events: how many a reader gives; last_ts: of the last one, epoch seconds, None where there is none."""

    n_events: int
    last_ts: int | None


def expected_rows(tables: CanonicalTables, schema: FeatureSchema, keys: Sequence[Key]) -> ReadRows:
    """The row that a reader of this schema must give for each key at its moment, in the order of the keys.

    Raises ReleaseMismatch when a feature of the schema is not declared here.
    """
    _check_declared(schema)
    known = _known(tables, schema.entity, keys)
    values = np.where(known[:, None], _values(tables, schema, keys), np.float32(np.nan))
    written = np.array([epoch_seconds(key.as_of) for key in keys], np.int64)
    rows, read_at = default_rows(schema, len(keys)), defaultdict(list)
    for position, key in enumerate(keys):
        read_at[key.now].append(position)
    for now, at in read_at.items():
        part = usable_rows(schema, values[at], written[at], known[at], now)
        rows.values[at], rows.known[at] = part.values, part.known
        rows.missing[at], rows.written[at] = part.missing, part.written
    if schema.entity is Entity.USER:
        _bring_up_to_now(tables, schema, keys, rows)
    return rows


def _bring_up_to_now(tables: CanonicalTables, schema: FeatureSchema, keys: Sequence[Key], rows: ReadRows) -> None:
    """Put the live features of people as of `now` into their rows, computed by the offline store."""
    later = [position for position, key in enumerate(keys) if key.recent or _second(key.now) > _second(key.as_of)]
    columns = [column for column, name in enumerate(schema.names) if name in LIVE_NAMES]
    if not later or not columns:
        return
    asked = [keys[position] for position in later]
    # Everybody asked about gets a name of their own, for what was known of them since is another thing each time.
    names = [f"{position}" for position in later]
    told = replace(tables, interactions=_known_to(tables.interactions, asked, names))
    spine = pl.DataFrame(
        {"user_id": names, "as_of": [key.now for key in asked]}, schema={"user_id": pl.String(), "as_of": UTC_TIME}
    )
    joined = point_in_time_join(spine, told, Entity.USER).select(schema.names[column] for column in columns)
    values = joined.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy()
    at = np.ix_(later, columns)
    # Nothing counted is no news of somebody who has no row, or an old one: there it stays missing.
    nothing = np.isnan(values) | ((values == 0) & rows.missing[at])
    rows.values[at] = np.where(nothing, rows.values[at], values)
    rows.missing[at] &= nothing


def _known_to(interactions: pl.DataFrame, keys: Sequence[Key], names: Sequence[str]) -> pl.DataFrame:
    """What a reader could know of each key, under its name: the tables before as_of, and what came in since."""
    people = pl.DataFrame(
        {"user_id": [key.entity_id for key in keys], "name": names, "as_of": [key.as_of for key in keys]},
        schema={"user_id": pl.String(), "name": pl.String(), "as_of": UTC_TIME},
    )
    before = interactions.join(people, "user_id").filter(pl.col("event_ts") < pl.col("as_of"))
    recent = [
        # What is stamped later has happened all the same, just now.
        {"user_id": name, "event_type": event_type, "event_ts": min(moment_us, epoch_microseconds(key.now) - 1)}
        for key, name in zip(keys, names, strict=True)
        for moment_us, event_type in key.recent
        if moment_us // 1_000_000 >= _second(key.as_of)
    ]
    since = pl.DataFrame(
        recent, schema={"user_id": pl.String(), "event_type": pl.String(), "event_ts": pl.Int64()}
    ).with_columns(pl.col("event_ts").cast(UTC_TIME))
    known = before.with_columns(user_id=pl.col("name")).select(interactions.columns)
    return pl.concat([known, since], how="diagonal")


def _second(moment: datetime) -> int:
    return epoch_microseconds(moment) // 1_000_000


def expected_histories(
    tables: CanonicalTables, keys: Sequence[Key], history_length: int, item_ids: IdMap
) -> list[ExpectedHistory]:
    """How long each person's history must have been, and when it must have ended, in the order of the keys.

    history_length: events kept per person; item_ids: of the release, whose histories hold no other items.
    """
    people = pl.Series([key.entity_id for key in keys], dtype=pl.String).unique().implode()
    events = tables.interactions.filter(pl.col("user_id").is_in(people))
    known = pl.Series(item_ids.ids, dtype=pl.String).implode()
    found: dict[tuple[str, datetime], ExpectedHistory] = {}
    for as_of in {key.as_of for key in keys}:
        kept = histories_as_of(events, as_of, history_length).explode("item_ids", "event_ts", "values")
        ends = kept.filter(pl.col("item_ids").is_in(known)).group_by("user_id").agg(pl.len(), pl.col("event_ts").last())
        found |= {(user_id, as_of): ExpectedHistory(n, last_ts) for user_id, n, last_ts in ends.iter_rows()}
    return [found.get((key.entity_id, key.as_of), ExpectedHistory(0, None)) for key in keys]


def _values(tables: CanonicalTables, schema: FeatureSchema, keys: Sequence[Key]) -> FloatArray:
    """(n_keys, n_features) as they were true at as_of, NaN where missing."""
    spine = pl.DataFrame(
        {f"{schema.entity}_id": [key.entity_id for key in keys], "as_of": [key.as_of for key in keys]},
        schema={f"{schema.entity}_id": pl.String(), "as_of": UTC_TIME},
    )
    joined = point_in_time_join(spine, tables, schema.entity).select(schema.names)
    return joined.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy()


def _known(tables: CanonicalTables, entity: Entity, keys: Sequence[Key]) -> npt.NDArray[np.bool_]:
    """Whether there is a row at all: of who did anything before, and of every item of the catalogue."""
    if entity is Entity.ITEM:
        items = set(tables.items["item_id"])
        return np.array([key.entity_id in items for key in keys], bool)
    first = positive_events(tables.interactions).group_by("user_id").agg(pl.col("event_ts").min())
    began: dict[str, datetime] = dict(first.iter_rows())
    return np.array([key.entity_id in began and began[key.entity_id] < key.as_of for key in keys], bool)


def _check_declared(schema: FeatureSchema) -> None:
    declared = tuple(feature.name for feature, _ in features_of(schema.entity))
    lacking = [name for name in schema.names if name not in declared]
    if lacking:
        raise ReleaseMismatch(
            f"The release has the {schema.entity} features {', '.join(lacking)}, which are not declared here; declared "
            f"are {', '.join(declared)}.",
            "Compute with the code the release was built with: `git checkout release/<id>`, then ask again.",
        )
