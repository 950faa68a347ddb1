"""Feature values from the folder that `FeatureValues.save` wrote, without ever holding all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import ArtefactError
from contracts.features import Entity
from contracts.json_file import load_json
from feature_store.values.file_names import VALUES
from feature_store.values.value_source import EVENT_TYPES, OLDER_ITEM_IDS, REBUILD, Table


class ValuesFolder:
    """The values of a folder, a batch at a time; a `ValueSource`.

    Raises ArtefactError, here or while batches are read, when something is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        header = load_json(folder / VALUES, REBUILD)
        try:
            self._as_of = datetime.fromisoformat(header["as_of"])
            self._generation_id = str(header["generation_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{folder / VALUES} is damaged: {error!r}.", REBUILD) from error

    @property
    def generation_id(self) -> str:
        return self._generation_id

    @property
    def as_of(self) -> datetime:
        return self._as_of

    @cached_property
    def counts(self) -> dict[str, int]:
        tables: dict[str, Table] = {"n_users": "user", "n_items": "item", "n_histories": "history"}
        return {name: self._n_rows(table) for name, table in tables.items()}

    @cached_property
    def has_event_types(self) -> bool:
        with self._opened("history") as file:
            return EVENT_TYPES in file.schema_arrow.names

    @cached_property
    def has_older_events(self) -> bool:
        with self._opened("history") as file:
            return OLDER_ITEM_IDS in file.schema_arrow.names

    def feature_names(self, entity: Entity) -> tuple[str, ...]:
        with self._opened(cast("Table", str(entity))) as file:
            return tuple(file.schema_arrow.names[1:])

    def batches(self, table: Table, n_rows: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        with self._opened(table) as file:
            for batch in file.iter_batches(batch_size=n_rows, columns=columns and list(columns)):
                yield cast("pl.DataFrame", pl.from_arrow(batch))

    def _n_rows(self, table: Table) -> int:
        with self._opened(table) as file:
            return int(file.metadata.num_rows)

    @contextmanager
    def _opened(self, table: Table) -> Iterator[Any]:
        path = self._folder / f"{table}.parquet"
        try:
            # Without buffering ahead, which reads a file of any size as a whole.
            with pq.ParquetFile(path, pre_buffer=False) as file:
                yield file
        except FileNotFoundError as error:
            raise ArtefactError(f"{path} is missing.", REBUILD) from error
        except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
            raise ArtefactError(f"{path} is no readable Parquet file: {error}", REBUILD) from error
