"""What computes a view's expression: DuckDB inside this process, or Spark. The declarations are the same for both.

Sums are over integers, so that values agree between them to the last bits of a float64, and as float32 bit for bit on
MovieLens 100K. Aggregations have a quick way beside their expression; it is taken where the engine is DuckDB.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager, ExitStack
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

import ibis
import polars as pl

from contracts.spark_session import spark_session
from feature_store.definitions.views import Rows

EngineName = Literal["duckdb", "spark"]


class FeatureEngine(Protocol):
    """Computes expressions over tables that it was given. aggregate_in_memory: whether aggregations are
    better computed outside it (see `in_memory_aggregations`).
    """

    aggregate_in_memory: bool

    def table(self, rows: pl.DataFrame) -> Rows:
        """The rows as a table that expressions may use."""
        ...

    def cached(self, expression: Rows) -> Rows:
        """The same rows, computed once however many expressions go on from them, where that is worth it."""
        ...

    def compute(self, expression: Rows) -> pl.DataFrame:
        """What the expression gives."""
        ...


class DuckdbFeatureEngine(ExitStack):
    """DuckDB in this process. n_threads: None for all cores; memory_gib: past which it goes on from disk, None for most
    of the machine's."""

    aggregate_in_memory = True

    def __init__(self, n_threads: int | None = None, memory_gib: float | None = None) -> None:
        super().__init__()
        spilled = self.enter_context(TemporaryDirectory(prefix="slatework-features-"))
        limit = None if memory_gib is None else f"{memory_gib * 1024:.0f}MiB"
        settings = {"threads": n_threads, "memory_limit": limit, "temp_directory": spilled}
        given = {name: value for name, value in settings.items() if value is not None}
        self._connection = ibis.duckdb.connect(**given)
        self.callback(self._connection.disconnect)

    def table(self, rows: pl.DataFrame) -> Rows:
        # Not `create_table`: with sqlglot from 30.18 on it fails on tables in memory (ibis issue 12124).
        return ibis.memtable(rows.to_arrow())

    def cached(self, expression: Rows) -> Rows:
        return expression

    def compute(self, expression: Rows) -> pl.DataFrame:
        answer: pl.DataFrame = self._connection.to_polars(expression)
        return answer


class SparkFeatureEngine(ExitStack):
    """A Spark session, the one that runs here already or one of its own.

    Raises EngineMissing without pyspark or Java.
    """

    aggregate_in_memory = False

    def __init__(self) -> None:
        super().__init__()
        self._session = spark_session()
        self._connection = ibis.pyspark.connect(self._session)

    def table(self, rows: pl.DataFrame) -> Rows:
        # Spark's own way from and to Arrow: ibis' goes by pandas, whose version 3 this Spark does not know.
        return self._persisted_table(self._session.createDataFrame(rows.to_arrow()))

    def cached(self, expression: Rows) -> Rows:
        return self._persisted_table(self._session.sql(self._connection.compile(expression)))

    def _persisted_table(self, frame: Any) -> Rows:
        """The frame as a table; persisted, so that not every job is sent the rows, or computes them, again."""
        name = f"slatework_{uuid.uuid4().hex}"
        frame.persist().createTempView(name)
        self.callback(frame.unpersist)
        self.callback(self._session.catalog.dropTempView, name)
        return self._connection.table(name)

    def compute(self, expression: Rows) -> pl.DataFrame:
        return pl.DataFrame(self._session.sql(self._connection.compile(expression)).toArrow())


def open_engine(
    name: EngineName = "duckdb", n_threads: int | None = None, memory_gib: float | None = None
) -> AbstractContextManager[FeatureEngine]:
    """The engine of that name; n_threads and memory_gib are DuckDB's, Spark has its own settings."""
    return SparkFeatureEngine() if name == "spark" else DuckdbFeatureEngine(n_threads, memory_gib)
