"""Feature values on disk: the latest row per entity and the histories, as of one moment; and their schemas.

<folder>/user.parquet     user_id, then f32 columns in the schema's order; sorted by user_id; null = missing
<folder>/item.parquet     item_id, then the same
<folder>/history.parquet  user_id, item_ids, event_ts (epoch seconds), values; events oldest first
<folder>/values.json      as_of, counts, generation_id; written last
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contracts.artefact import fingerprint_array
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.features import Entity, FeatureSchema
from contracts.fingerprint import canonical_json, fingerprint_json
from contracts.ids import FloatArray
from contracts.tables import read_parquet, write_parquet

VALUES = "values.json"
SCHEMAS = "schema.json"
HISTORY_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "item_ids": pl.List(pl.String()),
        "event_ts": pl.List(pl.Int64()),
        "values": pl.List(pl.Float32()),
    }
)
_REBUILD = "Run `dvc repro features` to build it again, or `dvc checkout` to restore it."


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
        return FeatureSchemas.from_json(_read_json(folder / SCHEMAS))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / SCHEMAS} is damaged: {error!r}.", _REBUILD) from error


@dataclass(frozen=True)
class FeatureValues:
    """What is known of every entity as of one moment; this is what a generation is made of.

    users, items: <entity>_id and f32 columns, one row per entity; histories: HISTORY_SCHEMA, one row per person who did
    anything. Rows are put in the order of their ids. as_of: everything strictly before it is in.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    histories: pl.DataFrame
    as_of: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "users", _canonical_rows(self.users, Entity.USER))
        object.__setattr__(self, "items", _canonical_rows(self.items, Entity.ITEM))
        histories = self.histories.select(list(HISTORY_SCHEMA)).cast(HISTORY_SCHEMA).sort("user_id")
        object.__setattr__(self, "histories", histories)

    @cached_property
    def generation_id(self) -> str:
        """The fingerprint of the content: ids, names, values, histories and as_of; never of how they were written."""
        return fingerprint_json(
            {
                "as_of": self.as_of.isoformat(),
                "user": _fingerprint_rows(self.users),
                "item": _fingerprint_rows(self.items),
                "history": _fingerprint_histories(self.histories),
            }
        )

    def rows(self, entity: Entity) -> pl.DataFrame:
        """The table of one entity."""
        return self.users if entity is Entity.USER else self.items

    def ids(self, entity: Entity) -> list[str]:
        """The ids of one entity, in the order of `matrix`."""
        return self.rows(entity).to_series(0).to_list()

    def matrix(self, schema: FeatureSchema) -> FloatArray:
        """(n_entities, n_features) f32, NaN where missing; raises as `check_columns` does."""
        self.check_columns(schema)
        return matrix_of(self.rows(schema.entity))

    def check_columns(self, schema: FeatureSchema) -> None:
        """Raise ReleaseMismatch when the columns of the schema's entity are not the schema's."""
        found = tuple(self.rows(schema.entity).columns[1:])
        if found != schema.names:
            raise ReleaseMismatch(
                f"The {schema.entity} values have the features {found}; the schema has {schema.names}.",
                "They belong to different releases. Run `dvc repro features`, or check out one release.",
            )

    def save(self, folder: Path) -> None:
        """Write the tables, and `values.json` last; equal content gives equal bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / VALUES).unlink(missing_ok=True)
        write_parquet(self.users, folder / "user.parquet")
        write_parquet(self.items, folder / "item.parquet")
        write_parquet(self.histories, folder / "history.parquet")
        _write_json(
            folder / VALUES, {"as_of": self.as_of.isoformat(), "generation_id": self.generation_id, **self.counts}
        )

    @property
    def counts(self) -> dict[str, int]:
        return {"n_users": self.users.height, "n_items": self.items.height, "n_histories": self.histories.height}

    @classmethod
    def load(cls, folder: Path) -> FeatureValues:
        """Read what `save` wrote; raises ArtefactError when something is missing or is not what was written."""
        said = _read_json(folder / VALUES)
        users, items, histories = (read_parquet(folder / f"{name}.parquet") for name in ("user", "item", "history"))
        try:
            values = cls(users, items, histories, datetime.fromisoformat(said["as_of"]))
            expected = said["generation_id"]
        except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise ArtefactError(f"{folder} is damaged: {error!r}.", _REBUILD) from error
        if values.generation_id != expected:
            raise ArtefactError(
                f"The values in {folder} are generation {values.generation_id}; {VALUES} says {expected}.", _REBUILD
            )
        return values


def matrix_of(table: pl.DataFrame) -> FloatArray:
    """(n_rows, n_features) f32 of a table whose first column is the id, NaN where null."""
    columns = [table.to_series(position).to_numpy() for position in range(1, table.width)]
    return (
        np.column_stack(columns).astype(np.float32, copy=False) if columns else np.empty((table.height, 0), np.float32)
    )


def _canonical_rows(table: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    key = f"{entity}_id"
    features = pl.exclude(key).cast(pl.Float32).fill_nan(None)
    return table.select(pl.col(key).cast(pl.String), features).sort(key)


def _fingerprint_rows(table: pl.DataFrame) -> str:
    return fingerprint_json(
        {"ids": table.to_series(0).to_list(), "names": table.columns[1:], "values": fingerprint_array(matrix_of(table))}
    )


def _fingerprint_histories(histories: pl.DataFrame) -> str:
    events = histories.explode("item_ids", "event_ts", "values", empty_as_null=False)
    return fingerprint_json(
        {
            "ids": histories["user_id"].to_list(),
            "lengths": histories["item_ids"].list.len().to_list(),
            "item_ids": events["item_ids"].to_list(),
            "event_ts": fingerprint_array(events["event_ts"].to_numpy()),
            "values": fingerprint_array(events["values"].to_numpy()),
        }
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(canonical_json(content) + b"\n")
    unfinished.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing.", _REBUILD) from error
    except ValueError as error:
        raise ArtefactError(f"{path} is damaged: {error}", _REBUILD) from error
    if not isinstance(content, dict):
        raise ArtefactError(f"{path} is damaged: it holds no JSON object.", _REBUILD)
    return content
