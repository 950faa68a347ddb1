"""What the columns of events say of each other: whose values come back over days, and which one is a product of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import polars as pl

from contracts.settings.files import TableFiles
from sources.files.times import read_time
from sources.inspection.sampled_columns import NEARLY_ALL, SampledColumn, true_share

MOST_PAIRS = 10  # of columns that are multiplied
CENT = 0.011  # prices are rounded


@dataclass(frozen=True)
class ColumnRelations:
    """comes_back: by column, the share of its values that stand on several days; products: total -> its two factors."""

    comes_back: Mapping[str, float] = field(default_factory=dict)
    products: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def column_relations(sample: pl.DataFrame, columns: Mapping[str, SampledColumn]) -> ColumnRelations:
    """The relations in a sample of rows, every cell as text."""
    time = next((column for column in columns.values() if column.is_time), None)
    ids = [name for name, one in columns.items() if _may_be_id(one)]
    comes_back = {} if time is None else _comes_back(sample, _days(sample, time), ids)
    return ColumnRelations(comes_back, _products(sample, [one for one in columns.values() if one.is_number]))


def goes_with(rows: pl.DataFrame, column: str, one: str, instead_of: str) -> bool:
    """Whether a column has fewer different cells for each `one` than for each of `instead_of`, on average.

    rows: every cell as text. The name of a customer goes with the customer, and not with the item.
    """
    filled = rows.filter(pl.col(column).fill_null("").str.strip_chars() != "")
    return _n_cells(filled, column, one) < _n_cells(filled, column, instead_of)


def _n_cells(filled: pl.DataFrame, column: str, of: str) -> float:
    """How many different cells each value of `of` has that stands in several rows; 1 where none does."""
    several = filled.group_by(of).agg(pl.len(), cells=pl.col(column).n_unique()).filter(pl.col("len") > 1)
    return float(several["cells"].sum()) / len(several) if len(several) else 1.0


def _may_be_id(column: SampledColumn) -> bool:
    is_text = column.is_whole or not column.is_number
    return is_text and not column.is_time and not column.is_list and column.n_distinct > 1


def _days(sample: pl.DataFrame, time: SampledColumn) -> pl.Series:
    settings = TableFiles(time_unit=time.time or "iso", time_format=time.time_format, time_zone="UTC")
    cells = sample[time.name]
    return pl.DataFrame({"cell": cells}).select(read_time(cells, settings)).to_series().dt.date().alias("day")


def _comes_back(sample: pl.DataFrame, days: pl.Series, ids: Iterable[str]) -> dict[str, float]:
    shares = {}
    for name in ids:
        rows = pl.DataFrame({"id": sample[name], "day": days}).filter(pl.col("id").is_not_null() & (pl.col("id") != ""))
        n_days = rows.group_by("id").agg(pl.col("day").n_unique().alias("days"))["days"]
        shares[name] = true_share(n_days > 1)
    return shares


def _products(sample: pl.DataFrame, numbers: list[SampledColumn]) -> dict[str, tuple[str, str]]:
    """Which column is another times a third, in nearly all rows."""
    cells = {one.name: one.numbers_in(sample[one.name]) for one in numbers[:MOST_PAIRS]}
    products: dict[str, tuple[str, str]] = {}
    for first, second in combinations(cells, 2):
        for total in cells.keys() - {first, second}:
            differ = (cells[first] * cells[second] - cells[total]).abs().drop_nulls()
            # A column of ones is a factor of everything.
            varies = min(cells[first].n_unique(), cells[second].n_unique()) > 2
            if varies and len(differ) and true_share(differ <= CENT) >= NEARLY_ALL:
                products[total] = (first, second)
    return products
