"""Finds files in which two columns of ids stand in each other's place, by what the columns of the other files hold.

A file is held against all others: whose ids are these? An id that no other file has is judged by its shape: how many
letters and digits, in which order. Where ids alone leave a doubt, the share of distinct ones decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from sources.canonical.origins import Origins

ID_COLUMNS = ("user_id", "item_id", "session_id")
SAMPLE_ROWS = 1_000_000
CHUNK_ROWS = 1_000_000
FEWEST_ROWS = 30  # sampled of a file: fewer say too little
LEAST = 0.5  # as a mean over a file's rows: its ids are exp(0.5) = 1.6 times as likely in the other column
MOST = 5.0  # that one row may say: a single strange id does not decide
UNSEEN = 1e-6  # the chance of an id that no other file has, before its shape is looked at
ODD_SHAPE = 1e-3
ODD_SPREADS = 2.0  # median deviations from the median of the files
FAR = math.log(1.5)  # two columns with shares of distinct ids closer than this cannot be told apart by these


@dataclass(frozen=True)
class Swap:
    """A file whose columns `one` and `other` look swapped.

    seen: by column of the file, the shares of its rows whose id another file has in the same and in the other column.
    """

    file: str
    one: str
    other: str
    seen: Mapping[str, tuple[float, float]]

    def __str__(self) -> str:
        parts = [self._seen_elsewhere(*pair) for pair in ((self.one, self.other), (self.other, self.one))]
        return f"{self.file}: {self.one} and {self.other} look swapped: {'; '.join(parts)}"

    def _seen_elsewhere(self, mine: str, theirs: str) -> str:
        same, elsewhere = self.seen[mine]
        return f"of its {mine}, {elsewhere:.0%} are {theirs} in the other files and {same:.0%} {mine}"


def swapped_files(interactions: pl.LazyFrame, origins: Origins) -> list[Swap]:
    """The files of the interactions with two columns swapped, by name; none where there is one file, or none is known.

    Of two files each may be the swapped one, so both are named.
    """
    if len(origins.file_counts("interactions")) < 2:
        return []
    rows = _sample(interactions, origins)
    files = rows.group_by("file").len().filter(pl.col("len") >= FEWEST_ROWS)["file"]
    judged = rows.filter(pl.col("file").is_in(files.implode()))
    swaps = [swap for pair in combinations(ID_COLUMNS, 2) for swap in _swaps_of(judged, *pair)]
    return sorted(swaps, key=lambda swap: swap.file)


def _sample(interactions: pl.LazyFrame, origins: Origins) -> pl.DataFrame:
    """file and the columns of ids of every so many-th row, read in pieces."""
    n_rows = int(interactions.select(pl.len()).collect().item())
    step = max(1, n_rows // SAMPLE_ROWS)
    pieces = []
    for start in range(0, n_rows, CHUNK_ROWS):
        piece = interactions.slice(start, CHUNK_ROWS).select(ID_COLUMNS).collect().gather_every(step)
        places = pl.int_range(start, min(start + CHUNK_ROWS, n_rows), step, eager=True)
        pieces.append(piece.with_columns(origins.of("interactions", places)["file"]))
    return pl.concat(pieces).drop_nulls("file")


def _swaps_of(rows: pl.DataFrame, one: str, other: str) -> list[Swap]:
    pairs = rows.select("file", one, other).drop_nulls()
    if pairs["file"].n_unique() < 2:
        return []
    counts = {name: _counts(pairs, name) for name in (one, other)}
    said = _likelier_elsewhere(counts[one], counts[other]).join(
        _likelier_elsewhere(counts[other], counts[one]), on="file", suffix=" of other"
    )
    is_swapped = _is_clear(said.height) | (
        _is_likely() & pl.col("file").is_in(_with_exchanged_shares(pairs, one, other))
    )
    return [
        Swap(
            row["file"],
            one,
            other,
            {one: (row["same"], row["elsewhere"]), other: (row["same of other"], row["elsewhere of other"])},
        )
        for row in said.filter(is_swapped).iter_rows(named=True)
    ]


def _is_clear(n_files: int) -> pl.Expr:
    """Both columns hold the other one's ids, and more so than in the middle of the files."""
    both = pl.min_horizontal("likelier", "likelier of other")
    is_odd = both - both.median() > LEAST if n_files > 2 else pl.lit(value=True)
    return (both > LEAST) & is_odd


def _is_likely() -> pl.Expr:
    """The ids of both columns together say something else than they do in the middle of the files.

    In those they may say anything, where an id is seen in one file alone and people and items have the same numbers.
    """
    together = pl.col("likelier") + pl.col("likelier of other")
    away = (together - together.median()).abs()
    return away > pl.max_horizontal(pl.lit(LEAST), ODD_SPREADS * away.median())


def _counts(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """file, id, shape, n: how often each id is in each file."""
    counts = rows.group_by("file", pl.col(name).alias("id")).len("n")
    digits = pl.col("id").str.replace_all(r"\d", "9")
    return counts.with_columns(shape=digits.str.replace_all(r"\p{Ll}", "a").str.replace_all(r"\p{Lu}", "A"))


def _likelier_elsewhere(mine: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """For each file: how much likelier its ids are in another column of the other files than in the same one.

    likelier: the mean of the logarithm over its rows; same, elsewhere: shares of its rows with an id that is there.
    """
    same, elsewhere = _chance(mine, mine, "same"), _chance(mine, theirs, "elsewhere")
    rows = same.join(elsewhere, on=["file", "id", "n"])
    rows = rows.with_columns(
        likelier=(pl.col("chance of elsewhere") / pl.col("chance of same")).log().clip(-MOST, MOST)
    )
    weight = pl.col("n") / pl.col("n").sum()
    return rows.group_by("file").agg((pl.col(name) * weight).sum() for name in ("likelier", "same", "elsewhere"))


def _chance(mine: pl.DataFrame, column: pl.DataFrame, name: str) -> pl.DataFrame:
    """file, id and n of `mine`; whether another file has the id in `column`, and the chance that it has it in a row."""
    rows = mine
    for key in ("id", "shape"):
        totals = column.group_by(key).agg(pl.col("n").sum().alias(f"{key} in all"))
        own = column.group_by("file", key).agg(pl.col("n").sum().alias(f"{key} in file"))
        rows = rows.join(totals, on=key, how="left").join(own, on=["file", key], how="left")
    n_own = column.group_by("file").agg(pl.col("n").sum().alias("n of file"))
    n_others = int(column["n"].sum()) - pl.col("n of file")
    n_with = {
        key: pl.col(f"{key} in all").fill_null(0) - pl.col(f"{key} in file").fill_null(0) for key in ("id", "shape")
    }
    in_others = {key: n_rows / n_others for key, n_rows in n_with.items()}
    return rows.join(n_own, on="file").select(
        "file",
        "id",
        "n",
        (in_others["id"] > 0).cast(pl.Float64).alias(name),
        (in_others["id"] + UNSEEN * (in_others["shape"] + ODD_SHAPE)).alias(f"chance of {name}"),
    )


def _with_exchanged_shares(rows: pl.DataFrame, one: str, other: str) -> list[str]:
    """The files whose shares of distinct ids are rather those that the other column has in the middle of the files."""
    shares = rows.group_by("file").agg((pl.col(name).n_unique() / pl.len()).log().alias(name) for name in (one, other))
    usual_one, usual_other = (pl.col(name).median() for name in (one, other))
    is_far = (usual_one - usual_other).abs() > FAR
    looks_like_other = (pl.col(one) - usual_other).abs() < (pl.col(one) - usual_one).abs()
    looks_like_one = (pl.col(other) - usual_one).abs() < (pl.col(other) - usual_other).abs()
    return shares.filter(is_far & looks_like_other & looks_like_one)["file"].to_list()
