"""Feature values on disk: the latest row per entity and the histories, as of one moment; and their schemas.

<folder>/user.parquet     user_id, then f32 columns in the schema's order; sorted by user_id; null = missing
<folder>/item.parquet     item_id, then the same
<folder>/history.parquet  user_id, item_ids, event_ts (epoch seconds), event_types (codes, see contracts.events),
                          values; events oldest first; and beside them older_item_ids, older_event_ts,
                          older_event_types: of what the history does not hold, the last event of each item
                          and type that are not in it together, by item and type
<folder>/values.json      as_of, counts, generation_id; written last
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.features import Entity, FeatureSchema
from contracts.fingerprint import canonical_json, fingerprint_json
from contracts.ids import FloatArray
from contracts.json_file import load_json
from contracts.tables import read_parquet, write_parquet
from contracts.whole_files import write_whole
from feature_store.values.file_names import VALUES
from feature_store.values.generation_digest import generation_id_of, matrix_of
from feature_store.values.value_source import (
    EVENT_TYPES,
    OLDER,
    OLDER_EVENT_TS,
    OLDER_EVENT_TYPES,
    OLDER_ITEM_IDS,
    REBUILD,
    Table,
    ValueSource,
)

SCHEMAS = "schema.json"
HISTORY_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "item_ids": pl.List(pl.String()),
        "event_ts": pl.List(pl.Int64()),
        EVENT_TYPES: pl.List(pl.UInt8()),
        "values": pl.List(pl.Float32()),
        OLDER_ITEM_IDS: pl.List(pl.String()),
        OLDER_EVENT_TS: pl.List(pl.Int64()),
        OLDER_EVENT_TYPES: pl.List(pl.UInt8()),
    }
)
LATER_COLUMNS = frozenset({EVENT_TYPES, *OLDER})  # of HISTORY_SCHEMA: bundles of earlier versions lack them
# Rows of a group of the file, which are read together: tens of megabytes at most.
ROWS_PER_GROUP = 65_536
HISTORIES_PER_GROUP = 4096


@dataclass(frozen=True)
class FeatureSchemas:
    """The two schemas that rows are read with."""

    user: FeatureSchema
    item: FeatureSchema

    @property
    def fingerprint(self) -> str:
        return fingerprint_json(self.to_json())

    def of(self, entity: Entity) -> FeatureSchema:
        """The schema of one entity."""
        return self.user if entity is Entity.USER else self.item

    def to_json(self) -> dict[str, Any]:
        return {"user": self.user.to_json(), "item": self.item.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FeatureSchemas:
        return cls(FeatureSchema.from_json(value["user"]), FeatureSchema.from_json(value["item"]))

    def save(self, folder: Path) -> None:
        """Write `schema.json`."""
        _write_json(folder / SCHEMAS, self.to_json())


def load_schemas(folder: Path) -> FeatureSchemas:
    """Read `schema.json` of a folder; raises ArtefactError when it is missing or damaged."""
    try:
        return FeatureSchemas.from_json(load_json(folder / SCHEMAS, REBUILD))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / SCHEMAS} is damaged: {error!r}.", REBUILD) from error


@dataclass(frozen=True)
class FeatureValues:
    """What is known of every entity as of one moment; this is what a generation is made of.

    users, items: <entity>_id and f32 columns, one row per entity; histories: HISTORY_SCHEMA, one row per person who did
    anything; of bundles before format version 3 without event_types, and before 4 without older events. Rows are put in
    the order of their ids. as_of: everything strictly before it is in.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    histories: pl.DataFrame
    as_of: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "users", _canonical_rows(self.users, Entity.USER))
        object.__setattr__(self, "items", _canonical_rows(self.items, Entity.ITEM))
        object.__setattr__(self, "histories", _canonical_histories(self.histories))

    @cached_property
    def generation_id(self) -> str:
        """The fingerprint of the content: ids, names, values, histories and as_of; never of how they were written."""
        return generation_id_of(self)

    @property
    def has_event_types(self) -> bool:
        """Whether histories say of what type each event is."""
        return EVENT_TYPES in self.histories.columns

    @property
    def has_older_events(self) -> bool:
        """Whether there is said what histories do not hold."""
        return OLDER_ITEM_IDS in self.histories.columns

    def feature_names(self, entity: Entity) -> tuple[str, ...]:
        """The features of an entity, in the order of a row."""
        return tuple(self.rows(entity).columns[1:])

    def batches(self, table: Table, n_rows: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of a table in slices; these columns, or all."""
        whole = self.histories if table == "history" else self.rows(Entity(table))
        yield from (whole.select(columns) if columns else whole).iter_slices(n_rows)

    def rows(self, entity: Entity) -> pl.DataFrame:
        """The table of one entity."""
        return self.users if entity is Entity.USER else self.items

    def of(self, schemas: FeatureSchemas) -> FeatureValues:
        """Only the features of these schemas, in their order.

        Raises ReleaseMismatch when one is not there.
        """
        users, items = (_columns(self.rows(entity), schemas.of(entity)) for entity in Entity)
        return FeatureValues(users, items, self.histories, self.as_of)

    def ids(self, entity: Entity) -> list[str]:
        """The ids of one entity, in the order of `matrix`."""
        return self.rows(entity).to_series(0).to_list()

    def matrix(self, schema: FeatureSchema) -> FloatArray:
        """(n_entities, n_features) f32, NaN where missing.

        Raises ReleaseMismatch when the columns are not the schema's.
        """
        check_features(self, schema)
        return matrix_of(self.rows(schema.entity))

    def save(self, folder: Path) -> None:
        """Write the tables, and `values.json` last; equal content gives equal bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / VALUES).unlink(missing_ok=True)
        write_parquet(self.users, folder / "user.parquet", ROWS_PER_GROUP)
        write_parquet(self.items, folder / "item.parquet", ROWS_PER_GROUP)
        write_parquet(self.histories, folder / "history.parquet", HISTORIES_PER_GROUP)
        _write_json(
            folder / VALUES, {"as_of": self.as_of.isoformat(), "generation_id": self.generation_id, **self.counts}
        )

    @property
    def counts(self) -> dict[str, int]:
        return {"n_users": self.users.height, "n_items": self.items.height, "n_histories": self.histories.height}

    @classmethod
    def load(cls, folder: Path) -> FeatureValues:
        """Read what `save` wrote; raises ArtefactError when something is missing or is not what was written."""
        header = load_json(folder / VALUES, REBUILD)
        users, items, histories = (read_parquet(folder / f"{name}.parquet") for name in ("user", "item", "history"))
        try:
            values = cls(users, items, histories, datetime.fromisoformat(header["as_of"]))
            expected = header["generation_id"]
        except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise ArtefactError(f"{folder} is damaged: {error!r}.", REBUILD) from error
        if values.generation_id != expected:
            raise not_the_generation(values.generation_id, expected)
        return values


def check_features(source: ValueSource, schema: FeatureSchema) -> None:
    """Raise ReleaseMismatch when the values of an entity have other features than its schema."""
    names = source.feature_names(schema.entity)
    if names != schema.names:
        raise ReleaseMismatch(
            f"The {schema.entity} values have the features {names}; the schema has {schema.names}.",
            "They belong to different releases. Run `dvc repro features`, or check out one release.",
        )


def not_the_generation(computed: str, stated: str) -> ArtefactError:
    """The error of values that are not the generation that their file states."""
    return ArtefactError(f"The values are generation {computed}; their {VALUES} says {stated}.", REBUILD)


def _columns(table: pl.DataFrame, schema: FeatureSchema) -> pl.DataFrame:
    missing = [name for name in schema.names if name not in table.columns]
    if missing:
        raise ReleaseMismatch(
            f"The release reads the {schema.entity} features {', '.join(missing)}, which the values lack; they have "
            f"{', '.join(table.columns[1:])}.",
            "Bring the features back in feature_store/definitions, or bring data that tells of them.",
        )
    return table.select(f"{schema.entity}_id", *schema.names)


def _canonical_rows(table: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    key = f"{entity}_id"
    features = pl.exclude(key).cast(pl.Float32).fill_nan(None)
    return table.select(pl.col(key).cast(pl.String), features).sort(key)


def _canonical_histories(histories: pl.DataFrame) -> pl.DataFrame:
    there = set(histories.columns)
    columns = {name: kind for name, kind in HISTORY_SCHEMA.items() if name not in LATER_COLUMNS or name in there}
    return histories.select(list(columns)).cast(pl.Schema(columns)).sort("user_id")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, canonical_json(content) + b"\n")
