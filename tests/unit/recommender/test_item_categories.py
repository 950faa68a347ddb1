"""Categories of items as lists: an array with a column for each category is the oracle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recommender.item_categories
from contracts.artefact import fingerprint_array, save_artefact
from contracts.errors import ArtefactError
from recommender.item_categories import categories_of, load_categories, load_dense_categories, unit_rows, unit_weights
from recommender.ragged import Offsets

CELLS = st.lists(st.none() | st.lists(st.sampled_from(["zoo", "art", "Ärger", "äther", "e"]), max_size=6), max_size=9)


def dense(cells: list[list[str] | None]) -> tuple[list[str], np.ndarray]:
    """(names, (n_items, n_categories)) read off the cells, one by one."""
    names = sorted({name for cell in cells for name in cell or ()})
    return names, np.array([[name in (cell or ()) for name in names] for cell in cells], np.float32).reshape(
        len(cells), len(names)
    )


def series(cells: list[list[str] | None]) -> pl.Series:
    return pl.Series(cells, dtype=pl.List(pl.String))


@given(CELLS)
def test_they_are_the_places_of_the_ones_in_the_dense_array(cells: list[list[str] | None]) -> None:
    expected_names, expected = dense(cells)
    names, offsets, category_idx = categories_of(series(cells))
    assert list(names) == expected_names
    assert offsets.tolist() == [0, *np.cumsum(expected.sum(axis=1)).astype(int)]
    assert category_idx.tolist() == np.nonzero(expected)[1].tolist()
    assert (offsets.dtype, category_idx.dtype) == (np.int64, np.int32)


@given(CELLS, st.data())
def test_rows_of_unit_length_have_the_bits_of_the_dense_array_divided_by_its_norms(
    cells: list[list[str] | None], data: st.DataObject
) -> None:
    names, array = dense(cells)
    _, offsets, category_idx = categories_of(series(cells))
    expected = np.asarray(array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1), np.float32)
    items = data.draw(st.lists(st.integers(0, len(cells) - 1))) if cells else []
    found = unit_rows(offsets, category_idx, np.array(items, np.int32), len(names))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected[items])
    assert unit_weights(np.diff(offsets)).tolist() == expected[expected > 0].tolist()


@given(CELLS, st.integers(1, 4))
def test_a_dense_array_of_before_is_read_in_blocks_and_keeps_its_fingerprint(
    cells: list[list[str] | None], rows_at_once: int
) -> None:
    names, array = dense(cells)
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommender.item_categories, "ROWS_AT_ONCE", rows_at_once)
        np.save(Path(scratch) / "categories.npy", array)
        offsets, category_idx, fingerprint = load_dense_categories(Path(scratch), len(cells), len(names))
    _, expected_offsets, expected_idx = categories_of(series(cells))
    np.testing.assert_array_equal(offsets, expected_offsets)
    np.testing.assert_array_equal(category_idx, expected_idx)
    assert fingerprint == fingerprint_array(array)


@pytest.mark.parametrize(
    ("offsets", "category_idx"),
    [
        ([0, 2, 2], [0, 1, 2]),
        ([1, 2, 3], [0, 1, 2]),
        ([0, 4, 3], [0, 1, 2]),
        ([0, 2, 3], [0, 0, 2]),
        ([0, 2, 3], [1, 0, 2]),
        ([0, 2, 3], [0, 1, 3]),
        ([0, 2, 3], [-1, 1, 2]),
    ],
)
def test_what_is_no_list_of_categories_in_order_is_refused(
    tmp_path: Path, offsets: list[int], category_idx: list[int]
) -> None:
    save(tmp_path, np.array(offsets, np.int64), np.array(category_idx, np.int32))
    with pytest.raises(ArtefactError, match="its 3 categories are not in order"):
        load_categories(tmp_path, 2, 3)


@pytest.mark.parametrize("offsets", [[0, 2, 3], [0, 0, 3], [0, 3, 3]])
def test_what_is_one_comes_back(tmp_path: Path, offsets: list[int]) -> None:
    save(tmp_path, np.array(offsets, np.int64), np.array([0, 1, 2], np.int32))
    assert load_categories(tmp_path, 2, 3)[0].tolist() == offsets


def save(folder: Path, offsets: Offsets, category_idx: np.ndarray) -> None:
    arrays = {"category_offsets": offsets, "category_idx": category_idx}
    save_artefact(folder, "catalogue", built_with={}, arrays=arrays)
