"""Gives a source's tables their canonical columns, types and row order."""

from __future__ import annotations

from typing import Final

import polars as pl

from contracts.tables import SCHEMAS, SORT_KEYS, CanonicalTables
from sources.canonical.origins import FINGERPRINT, ORIGIN

ENTITY_KEYS: Final = {"items": "item_id", "users": "user_id"}  # the column that names a row


def canonical_tables(interactions: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> CanonicalTables:
    """The three tables with every canonical column (null where the source has none), typed and sorted.

    The order in which rows come in does not matter. Columns that the tables do not know are left out.
    """
    return CanonicalTables(conform(interactions, "interactions"), conform(items, "items"), conform(users, "users"))


def conform(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """One table in its canonical columns, types and order, and behind them where its rows came from, if it says so."""
    schema, keys = SCHEMAS[name], SORT_KEYS[name]
    columns = [_column(table, column, dtype) for column, dtype in schema.items()]
    # Rows of equal key are ordered by their other columns, or two runs could write them in two orders.
    rest = [column for column, dtype in schema.items() if column not in keys and dtype != pl.List(pl.String())]
    origin = [column for column in ORIGIN if column in table.columns]
    fingerprint = [FINGERPRINT] if FINGERPRINT in table.columns else []
    return table.select(*columns, *origin, *fingerprint).sort([*keys, *rest, *origin])


def _column(table: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    source = pl.col(name) if name in table.columns else pl.lit(None)
    return source.cast(dtype).alias(name)
