"""Where Great Expectations checks a frame: in this process with pandas, or on Spark. Both find the same rows."""

from __future__ import annotations

import logging
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import great_expectations as gx
import polars as pl
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.interfaces import Batch

from contracts.spark_session import spark_session

# Each metric costs the library milliseconds: it is asked for rows only where somebody wants them, then for all.
NO_ROWS: dict[str, Any] = {"result_format": "BASIC"}
ALL_ROWS: dict[str, Any] = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
ROW = "row"  # the column that numbers the rows, on Spark


class SuiteEngine(Protocol):
    """Checks a suite over a frame.

    name_rows: whether the rows that break a rule are wanted. They are in `unexpected_index_list`: as positions, or as
    mappings that hold ROW.
    """

    def validate(
        self, name: str, table: pl.DataFrame, suite: ExpectationSuite, *, name_rows: bool
    ) -> ExpectationSuiteValidationResult: ...


class PandasSuiteEngine:
    """In this process."""

    def validate(
        self, name: str, table: pl.DataFrame, suite: ExpectationSuite, *, name_rows: bool
    ) -> ExpectationSuiteValidationResult:
        batch: Batch = _pandas_batches(name).get_batch({"dataframe": table.to_pandas()})
        return batch.validate(suite, result_format=ALL_ROWS if name_rows else NO_ROWS)


class SparkSuiteEngine:
    """On a Spark session of this process, or of the cluster that Spark's own configuration names."""

    def validate(
        self, name: str, table: pl.DataFrame, suite: ExpectationSuite, *, name_rows: bool
    ) -> ExpectationSuiteValidationResult:
        with tempfile.TemporaryDirectory(prefix="slatework-") as folder:
            path = Path(folder, "rows.parquet")
            table.with_row_index(ROW).cast({ROW: pl.Int64}).write_parquet(path)
            rows = spark_session().read.parquet(str(path))
            batch: Batch = _spark_batches(name).get_batch({"dataframe": rows})
            by_number = {**ALL_ROWS, "unexpected_index_column_names": [ROW]}
            return batch.validate(suite, result_format=by_number if name_rows else NO_ROWS)


IN_PROCESS: SuiteEngine = PandasSuiteEngine()


def suite_engine(engine: str) -> SuiteEngine:
    """The engine for a value of `features.engine`: Spark for `spark`, this process for `duckdb`."""
    return SparkSuiteEngine() if engine == "spark" else IN_PROCESS


@cache
def _context() -> EphemeralDataContext:
    # One for all batches: each makes a folder of its own in /tmp.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@cache
def _pandas_batches(name: str) -> Any:
    """The definition of batches of a table; one for all of them, because each new one is written out as YAML."""
    asset = _context().data_sources.add_or_update_pandas(f"pandas-{name}").add_dataframe_asset(name)
    return asset.add_batch_definition_whole_dataframe(name)


@cache
def _spark_batches(name: str) -> Any:
    asset = _context().data_sources.add_or_update_spark(f"spark-{name}").add_dataframe_asset(name)
    return asset.add_batch_definition_whole_dataframe(name)
