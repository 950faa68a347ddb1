"""The categories of a catalogue's items: of each item those that it has, for most have few of many.

Item i is of the categories category_idx[offsets[i]:offsets[i + 1]], ascending. A category is its place among the names.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.artefact import array_head, load_array
from contracts.fingerprint import fingerprint_chunks
from contracts.ids import FloatArray, ItemIdxArray
from recommender.ragged import Offsets, RaggedItems, check_ascending, offsets_of, spans

CategoryIdx = npt.NDArray[np.int32]
OFFSETS: Final = "category_offsets"  # and below: arrays of the artefact
IDX: Final = "category_idx"
DENSE: Final = "categories"  # of artefacts of before: a column for each category, 1 where the item is of it
ROWS_AT_ONCE = 4096  # read of a dense array


def categories_of(cells: pl.Series) -> tuple[tuple[str, ...], Offsets, CategoryIdx]:
    """(names, offsets, category_idx) of lists of names, an item's in each cell; the names sorted, none twice."""
    rows = pl.DataFrame({"item": pl.int_range(len(cells), dtype=pl.Int64, eager=True), "name": cells})
    named = rows.explode("name", empty_as_null=True).drop_nulls("name")
    names = named["name"].unique().sort()
    category = names.search_sorted(named["name"]).cast(pl.Int32)
    pairs = named.select("item", category=category).unique().sort("item", "category")
    lengths = np.bincount(pairs["item"].to_numpy(), minlength=len(cells))
    return tuple(names), offsets_of(lengths), pairs["category"].to_numpy().astype(np.int32)


def load_categories(folder: Path, n_items: int, n_categories: int) -> tuple[Offsets, CategoryIdx]:
    """(offsets, category_idx) as saved under OFFSETS and IDX; raises ArtefactError where they are none."""
    offsets = load_array(folder, OFFSETS, np.int64, (n_items + 1,))
    category_idx = load_array(folder, IDX, np.int32, (None,))
    check_ascending(folder, "categories", RaggedItems(offsets, category_idx), n_categories)
    return offsets, category_idx


def load_dense_categories(folder: Path, n_items: int, n_categories: int) -> tuple[Offsets, CategoryIdx, str]:
    """(offsets, category_idx, fingerprint of the array) of what was saved under DENSE."""
    dense = load_array(folder, DENSE, np.float32, (n_items, n_categories))
    blocks = [dense[start : start + ROWS_AT_ONCE] for start in range(0, n_items, ROWS_AT_ONCE)]
    found = [np.nonzero(block) for block in blocks]
    lengths = [np.bincount(rows, minlength=len(block)) for (rows, _), block in zip(found, blocks, strict=True)]
    content = chain([array_head(dense.dtype, dense.shape)], (np.ascontiguousarray(block).tobytes() for block in blocks))
    return (
        offsets_of(np.concatenate([np.empty(0, np.int64), *lengths])),
        np.concatenate([np.empty(0, np.int32), *(columns for _, columns in found)]).astype(np.int32),
        fingerprint_chunks(content),
    )


def unit_rows(offsets: Offsets, category_idx: CategoryIdx, item_idx: ItemIdxArray, n_categories: int) -> FloatArray:
    """(n, n_categories) a row of unit length for each of these items; an item without categories is a row of zeros."""
    starts = offsets[item_idx]
    lengths = offsets[item_idx.astype(np.int64) + 1] - starts
    rows = np.zeros((len(item_idx), n_categories), np.float32)
    columns = category_idx[spans(starts, lengths)]
    rows[np.arange(len(item_idx)).repeat(lengths), columns] = unit_weights(lengths)
    return rows


def unit_weights(lengths: npt.NDArray[np.int64]) -> FloatArray:
    """1 / sqrt(n), n times, for each of the lengths n: what each category weighs in an item's row of unit length."""
    weights = 1 / np.sqrt(np.maximum(lengths, 1).astype(np.float32))
    return np.asarray(weights.repeat(lengths), np.float32)
