"""From a source's columns to a canonical table: columns, types and order are settled here, once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, SORT_KEYS, USERS_SCHEMA, CanonicalTables


def canonical_tables(interactions: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame) -> CanonicalTables:
    """The three tables with every canonical column (null where the source has none), typed and in a total order.

    Equal rows come out in equal order whatever the order they came in; columns the tables do not know are left out.
    """
    return CanonicalTables(
        _conform(interactions, INTERACTIONS_SCHEMA, SORT_KEYS["interactions"]),
        _conform(items, ITEMS_SCHEMA, SORT_KEYS["items"]),
        _conform(users, USERS_SCHEMA, SORT_KEYS["users"]),
    )


def _conform(table: pl.DataFrame, schema: pl.Schema, keys: Sequence[str]) -> pl.DataFrame:
    columns = [_column(table, name, dtype) for name, dtype in schema.items()]
    # Rows of equal key are ordered by what is left of them, or two runs could write them in two orders.
    rest = [name for name, dtype in schema.items() if name not in keys and dtype != pl.List(pl.String())]
    return table.select(columns).sort([*keys, *rest])


def _column(table: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    source = pl.col(name) if name in table.columns else pl.lit(None)
    return source.cast(dtype).alias(name)
