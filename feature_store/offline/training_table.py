"""A training table of more rows than fit in memory as a table: Parquet in, Parquet out, in the order of the spine.

Features are computed one after another, for one entity after another. Memory holds the time, value and running totals
of each event, the position and one feature of each row of the spine, and every purchase and return of a person and item
that has returns. Columns wait on disk to be put together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import SettingsError
from contracts.events import EventType
from contracts.features import Entity
from contracts.progress import Progress
from contracts.returns import NEVER_TAKEN_BACK, TAKEN_BACK_TS, with_taken_back_ts
from contracts.tables import UTC_TIME
from contracts.whole_files import whole_file
from feature_store.definitions.views import EventTypes, FeatureView
from feature_store.offline.events import event_columns, of_types
from feature_store.offline.trailing_windows import EventRuns, Moments

BATCH_ROWS = 500_000
N_THREADS = 2  # what numpy does here it does without Python's lock; more would hold more columns at once

Column = npt.NDArray[np.float32]


def write_training_table(spine: Path, interactions: Path, views: Sequence[FeatureView], out: Path) -> int:
    """Write the spine's rows with every feature of the views as it was known at each row's as_of, and return how many.

    spine: Parquet with `as_of` (UTC), `<entity>_id` of every entity of the views, and whatever else; its rows, their
    number, order and duplicates are kept. interactions: the canonical table. views: of aggregations alone.
    out: is whole or not there; f32 columns behind those of the spine, null where missing.
    Raises SettingsError for a view that is an expression: those are computed by
    `feature_store.offline.offline_store.point_in_time_join`.
    """
    _check_aggregations(views)
    n_rows: int = pq.read_metadata(spine).num_rows
    names = [feature.name for view in views for feature in view.features]
    with (
        whole_file(out) as unfinished,
        tempfile.TemporaryDirectory(dir=out.parent, prefix=".columns-") as scratch,
        Progress(total=len(names), desc="features", unit="feature") as progress,
    ):
        columns, taken_back = Path(scratch), _taken_back(interactions)
        for entity in Entity:
            mine = [view for view in views if view.entity is entity]
            for name, values in _columns(spine, interactions, entity, mine, taken_back) if mine else ():
                values.tofile(columns / name)
                progress.update()
        _join_columns(spine, columns, names, unfinished)
    return n_rows


def _check_aggregations(views: Sequence[FeatureView]) -> None:
    for view in views:
        if not view.aggregations:
            raise SettingsError(
                f"View {view.name} is an expression, which this does not compute.",
                "Declare it by aggregations (feature_store/definitions/views.py), or use "
                "feature_store.offline.offline_store.point_in_time_join.",
            )


def _columns(
    spine: Path, interactions: Path, entity: Entity, views: Sequence[FeatureView], taken_back: pl.DataFrame
) -> Iterator[tuple[str, Column]]:
    """Each feature's name and values, in the order of the spine; NaN where missing. taken_back: see `_taken_back`."""
    key = f"{entity}_id"
    ids = pl.scan_parquet(spine).select(pl.col(key).unique()).collect(engine="streaming")[key].drop_nulls()
    code = pl.col(key).cast(pl.Enum(ids), strict=False).to_physical().cast(pl.Int32).alias("code")
    moments: Moments | None = None
    for event_types in dict.fromkeys(types for view in views for types in view.functions_by_type):
        runs = _runs(interactions, key, code, len(ids), event_types, taken_back)
        # Made after the first runs: making those takes the most memory.
        moments = moments or _moments(spine, key, code, len(ids))
        mine = [view for view in views if event_types in view.functions_by_type]
        with ThreadPoolExecutor(N_THREADS) as pool:
            for first in range(0, len(mine), N_THREADS):
                # No more views at once than threads: each holds its columns until they are on disk.
                aggregate_view = partial(_aggregated_columns, runs, moments, event_types)
                for columns in pool.map(aggregate_view, mine[first : first + N_THREADS]):
                    yield from columns
        del runs, aggregate_view  # before the next ones are made


def _aggregated_columns(
    runs: EventRuns, moments: Moments, event_types: EventTypes, view: FeatureView
) -> list[tuple[str, Column]]:
    """The view's features that aggregate events of these types, which the runs hold."""
    spans = runs.spans(moments, view.reach_us)
    columns = []
    for name, function in view.functions_by_type[event_types].items():
        values = np.empty(len(moments.order), np.float32)
        for start in range(0, len(values), BATCH_ROWS):
            rows = slice(start, start + BATCH_ROWS)
            values[moments.order[rows]] = runs.aggregate(function, spans.part(rows))
        columns.append((name, values))
    return columns


def _moments(spine: Path, key: str, code: pl.Expr, n_entities: int) -> Moments:
    as_of_us = pl.col("as_of").cast(UTC_TIME).dt.epoch("us").alias("as_of_us")
    batches = (batch.select(code, as_of_us) for batch in _batches(spine, [key, "as_of"]))
    spine_rows = pl.concat(batches, rechunk=True)
    # Whoever has no id is one entity more, without events.
    codes = spine_rows["code"].fill_null(n_entities).to_numpy()
    return Moments(codes, spine_rows["as_of_us"].to_numpy(), n_entities + 1)


def _runs(
    interactions: Path, key: str, code: pl.Expr, n_entities: int, event_types: EventTypes, taken_back: pl.DataFrame
) -> EventRuns:
    value = pl.col("value_milli")
    columns = [code, "event_us", value.fill_null(0), value.is_not_null().alias("valued")]
    if len(taken_back):
        columns.append(pl.col("taken_back_us").fill_null(NEVER_TAKEN_BACK))
    batches = _batches(interactions, [key, "event_type", "event_ts", "value"])
    known = _with_taken_back(batches, taken_back) if len(taken_back) else batches
    selected = (event_columns(batch).filter(of_types(event_types)).select(columns) for batch in known)
    events = pl.concat(selected, rechunk=True).drop_nulls("code")
    codes, event_us, values, valued, *taken_back_us = (events[name].to_numpy() for name in events.columns)
    return EventRuns(codes, event_us, values, valued, n_entities + 1, *taken_back_us)


def _taken_back(interactions: Path) -> pl.DataFrame:
    """row, taken_back_ts: which rows of the table are purchases that were taken back, and when."""
    columns = ["row", "user_id", "item_id", "event_type", "event_ts", "value"]
    rows = pl.scan_parquet(interactions, row_index_name="row").select(columns)
    returned = rows.filter(of_types([EventType.RETURN])).select("user_id", "item_id").unique()
    pairs = returned.collect(engine="streaming")
    sales = rows.filter(of_types([EventType.PURCHASE, EventType.RETURN])) if len(pairs) else rows.head(0)
    concerned = sales.join(pairs.lazy(), ["user_id", "item_id"], "semi", nulls_equal=True)
    known = with_taken_back_ts(concerned.collect(engine="streaming"))
    return known.drop_nulls(TAKEN_BACK_TS).select("row", TAKEN_BACK_TS)


def _with_taken_back(batches: Iterator[pl.DataFrame], taken_back: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The batches of a table, in its order, with the column `taken_back_ts`."""
    first = 0
    for batch in batches:
        yield batch.with_row_index("row", first).join(taken_back, "row", "left", maintain_order="left")
        first += len(batch)


def _batches(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    file = pq.ParquetFile(path)
    yield pl.DataFrame(file.schema_arrow.empty_table().select(list(columns)))  # a file without rows has no batch
    for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
        yield pl.DataFrame(batch)


def _join_columns(spine: Path, columns: Path, names: Sequence[str], out: Path) -> None:
    source = pq.ParquetFile(spine)
    fields = [*source.schema_arrow, *(pa.field(name, pa.float32()) for name in names)]
    start = 0
    # Numbers hardly repeat: looking for those that do costs more than it saves.
    texts = [field.name for field in source.schema_arrow if not pa.types.is_primitive(field.type)]
    with pq.ParquetWriter(out, pa.schema(fields), compression="zstd", use_dictionary=texts) as writer:
        for batch in source.iter_batches(BATCH_ROWS):
            for name in names:
                values = np.fromfile(columns / name, np.float32, len(batch), offset=4 * start)
                batch = batch.append_column(name, pa.array(values, from_pandas=True))  # noqa: PLW2901
            writer.write_batch(batch)
            start += len(batch)
