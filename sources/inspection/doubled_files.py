"""Files whose rows all stand in another file, too: a day that was copied, or exported twice under two names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from sources.canonical.origins import FINGERPRINT, origin_path

FEWEST: Final = 10  # distinct rows; two files may share the little that a smaller one holds


@dataclass(frozen=True)
class DoubledFile:
    """A file whose interactions all stand in another one. n_rows, n_other: how many rows each has."""

    file: str
    other: str
    n_rows: int
    n_other: int


def doubled_files(folder: Path) -> Iterator[DoubledFile]:
    """The files of the interactions in a folder of tables whose rows all stand in another file; each pair once.

    Of two files with the same rows, the later name is said to repeat the other.
    """
    rows = _rows_of_files(folder)
    sizes = rows.group_by("file").agg(pl.len().alias("rows"), pl.col("hash").n_unique().alias("distinct"))
    n_rows, n_distinct = (dict(sizes.select("file", name).iter_rows()) for name in ("rows", "distinct"))
    shared = rows.unique().filter(pl.len().over("hash") > 1)
    pairs = shared.join(shared, on="hash", suffix="_other").filter(pl.col("file") != pl.col("file_other"))
    for file, other, n_shared in pairs.group_by("file", "file_other").len().sort("file", "file_other").iter_rows():
        are_equal = n_shared == n_distinct[file] == n_distinct[other]
        if n_shared == n_distinct[file] >= FEWEST and not (are_equal and file < other):
            yield DoubledFile(file, other, n_rows[file], n_rows[other])


def _rows_of_files(folder: Path) -> pl.DataFrame:
    """What each interaction comes to (hash), and its file."""
    origins = pl.read_parquet(origin_path(folder, "interactions"))
    table = pl.read_parquet(folder / "interactions.parquet")
    whole = table.with_columns(origins[FINGERPRINT]) if FINGERPRINT in origins.columns else table
    return pl.DataFrame({"file": origins["file"], "hash": whole.hash_rows(seed=0)}).drop_nulls()
