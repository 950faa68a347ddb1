"""Several rows about one item or person become one: of each column the latest value that is not empty."""

from __future__ import annotations

from typing import Final

import polars as pl

from contracts.validation_rules import LARGEST_AGE, LEAST_PRICE, OLDEST_WORK_YEAR
from sources.canonical.categories import category_columns_of

MANY: Final = 200_000  # rows kept batch by batch before they are folded
_SAID_AT: Final = " said at"  # ends the name of the column that holds when another column had its value
# A value that would send its row to quarantine does not take the place of one that would not.
_SOUND: Final = {
    "title": pl.col("title").str.strip_chars() != "",
    "price": pl.col("price") >= LEAST_PRICE,
    "release_year": pl.col("release_year") >= OLDEST_WORK_YEAR,
    "age": pl.col("age").is_between(0, LARGEST_AGE),
}


class LatestCells:
    """What rows of events say of their items, folded batch by batch; memory grows with the items alone.

    Later is by event_ts; of rows of one time, the one that was read later.
    """

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []

    def add(self, said: pl.DataFrame) -> None:
        """Take a batch: item_id, event_ts, and some columns of `items`."""
        names = [name for name in said.columns if name not in ("item_id", "event_ts")]
        moments = [pl.when(_is_sound(name)).then("event_ts").alias(name + _SAID_AT) for name in names]
        cells = [pl.when(_is_sound(name)).then(pl.col(name)).alias(name) for name in names]
        self._parts.append(said.select("item_id", *cells, *moments))
        if sum(map(len, self._parts[1:])) > max(len(self._parts[0]), MANY):
            self._fold()

    def table(self) -> pl.DataFrame:
        """A row for each item: item_id and the columns, null where no row says anything."""
        self._fold()
        if not self._parts:
            return pl.DataFrame(schema={"item_id": pl.String})
        whole = self._parts[0]
        return whole.select(name for name in whole.columns if not name.endswith(_SAID_AT))

    def _fold(self) -> None:
        if not self._parts:
            return
        whole = pl.concat(self._parts, how="diagonal")
        names = [name for name in whole.columns if name != "item_id" and not name.endswith(_SAID_AT)]
        latest = [_latest(name) for name in names]
        moments = [pl.col(name + _SAID_AT).max() for name in names]
        rows = whole.filter(pl.col("item_id").is_not_null()).group_by("item_id", maintain_order=True)
        self._parts = [rows.agg(*latest, *moments)]


def fold_repeats(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows of a file, with one row for each id: of each column the last value that is sound and not empty.

    rows: in the order of the file, beside `file` and `row`; folded rows keep those of the id's last row. Where no row
    of an id has a sound value, the last one stays, and the rules find it.
    """
    if key not in rows.columns:
        return rows
    repeats = pl.col(key).is_not_null() & pl.col(key).is_duplicated()
    cells = [name for name in rows.columns if name not in (key, "file", "row")]
    folded = (
        rows.filter(repeats)
        .group_by(key, maintain_order=True)
        .agg(*[_last(name) for name in cells], *[pl.col(name).last() for name in ("file", "row")])
    )
    return pl.concat([rows.filter(~repeats), folded.select(rows.columns)])


def _latest(name: str) -> pl.Expr:
    given = pl.col(name).is_not_null()
    moments = pl.col(name + _SAID_AT).filter(given)
    return pl.col(name).filter(given).sort_by(moments, maintain_order=True, nulls_last=False).last()


def _last(name: str) -> pl.Expr:
    sound = pl.col(name).filter(_is_sound(name).fill_null(value=False))
    return pl.coalesce(sound.last(), pl.col(name).drop_nulls().last()).alias(name)


def _is_sound(name: str) -> pl.Expr:
    is_filled = pl.col(name).list.len() > 0 if name in category_columns_of([name]) else pl.lit(value=True)
    return _SOUND.get(name, is_filled) & pl.col(name).is_not_null()
