from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.errors import ArtefactError
from contracts.ids import ItemId
from recommender.catalogue import Catalogue


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.from_items(
        pl.DataFrame(
            {
                "item_id": ["i30", "i10", "i20"],
                "title": ["Alien", None, "Heat"],
                "categories": [["horror", "space"], None, ["crime"]],
                "release_year": [1979, None, 1995],
                "price": [4.5, None, None],
            }
        )
    )


def test_everything_stands_in_the_order_of_the_sorted_ids(catalogue):
    assert catalogue.ids.ids == ("i10", "i20", "i30")
    assert catalogue.titles == ("i10", "Heat", "Alien")
    assert catalogue.category_names == ("crime", "horror", "space")
    np.testing.assert_array_equal(catalogue.categories, [[0, 0, 0], [1, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(catalogue.release_year, np.array([np.nan, 1995, 1979], np.float32))


def test_an_item_without_title_is_called_by_its_id(catalogue):
    assert catalogue.title(ItemId("i10")) == "i10"
    assert catalogue.title(ItemId("i30")) == "Alien"
    assert catalogue.title(ItemId("never heard of")) == "never heard of"


def test_category_rows_have_unit_length_or_are_zero(catalogue):
    np.testing.assert_allclose(np.linalg.norm(catalogue.unit_categories, axis=1), [0, 1, 1])


def test_stated_categories_are_found_whatever_their_case_and_unknown_ones_left_out(catalogue):
    np.testing.assert_array_equal(catalogue.category_vector(("Horror", "opera")), [0, 1, 0])


def test_saved_and_loaded_it_is_the_same(catalogue, tmp_path: Path):
    catalogue.save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    assert loaded.fingerprint == catalogue.fingerprint
    assert loaded.ids == catalogue.ids


@pytest.mark.parametrize(
    "change",
    [{"titles": ("a", "b", "c")}, {"category_names": ("x", "y", "z")}, {"release_year": np.zeros(3, np.float32)}],
)
def test_whatever_changes_gives_another_fingerprint(catalogue, change):
    assert replace(catalogue, **change).fingerprint != catalogue.fingerprint


def test_parts_of_different_sizes_are_refused(catalogue, tmp_path: Path):
    replace(catalogue, titles=("only one",)).save(tmp_path)
    with pytest.raises(ArtefactError, match="1 titles for 3 ids"):
        Catalogue.load(tmp_path)


def test_indices_outside_the_catalogue_are_left_out(catalogue):
    np.testing.assert_array_equal(catalogue.known(np.array([2, -1, 3, 0], np.int32)), [2, 0])
