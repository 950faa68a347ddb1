from __future__ import annotations

from dataclasses import replace
from mmap import mmap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.artefact import save_artefact
from contracts.errors import ArtefactError, ShapeMismatch
from contracts.ids import ItemId
from contracts.tables import ITEMS_SCHEMA
from contracts.texts import Texts
from recommender.catalogue import Catalogue
from recommender.item_attributes import TextAttribute, attribute_columns

CATEGORY_NAMES = ["crime", "horror", "space"]


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
                "in_stock": [False, None, True],
                "attributes": ['{"colour":"red","weight":1.5}', None, '{"colour":"blue","vegan":true}'],
            }
        )
    )


def test_everything_stands_in_the_order_of_the_sorted_ids(catalogue):
    assert tuple(catalogue.ids.ids) == ("i10", "i20", "i30")
    assert tuple(catalogue.titles) == ("i10", "Heat", "Alien")
    assert catalogue.category_names == (*CATEGORY_NAMES,)
    np.testing.assert_array_equal(catalogue.category_offsets, [0, 0, 1, 3])
    np.testing.assert_array_equal(catalogue.category_idx, [0, 1, 2])
    np.testing.assert_array_equal(catalogue.release_year, np.array([np.nan, 1995, 1979], np.float32))


def test_an_item_without_title_is_called_by_its_id(catalogue):
    assert catalogue.title(ItemId("i10")) == "i10"
    assert catalogue.title(ItemId("i30")) == "Alien"
    assert catalogue.title(ItemId("never heard of")) == "never heard of"


def test_category_rows_have_unit_length_or_are_zero(catalogue):
    half = np.sqrt(0.5)
    rows = catalogue.unit_categories_of(np.array([2, 0, 1, 2], np.int32))
    np.testing.assert_allclose(rows, [[0, half, half], [0, 0, 0], [1, 0, 0], [0, half, half]])


def test_stated_categories_are_found_whatever_their_case_and_unknown_ones_left_out(catalogue):
    np.testing.assert_array_equal(catalogue.category_vector(("Horror", "opera")), [0, 1, 0])


def test_stock_and_attributes_stand_in_the_order_of_the_ids_and_unknown_stock_counts_as_there(catalogue):
    np.testing.assert_array_equal(catalogue.in_stock, [True, True, False])
    assert list(catalogue.attributes) == ["colour", "vegan", "weight"]
    colour, vegan, weight = catalogue.attributes.values()
    assert colour.values == ("blue", "red")
    np.testing.assert_array_equal(colour.codes, [-1, 0, 1])
    np.testing.assert_array_equal(vegan.flags, [-1, 1, -1])
    np.testing.assert_array_equal(weight.numbers, [np.nan, np.nan, 1.5])


def test_an_attribute_of_two_types_is_refused_by_its_name():
    with pytest.raises(ShapeMismatch, match="attribute size is number and text in turns"):
        attribute_columns(['{"size":"XL"}', None, '{"size":42}'])


def test_saved_and_loaded_it_is_the_same(catalogue, tmp_path: Path):
    catalogue.save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    assert loaded.fingerprint == catalogue.fingerprint
    assert loaded.ids == catalogue.ids
    np.testing.assert_array_equal(loaded.in_stock, catalogue.in_stock)
    assert loaded.attributes["colour"].values == ("blue", "red")
    np.testing.assert_array_equal(loaded.attributes["weight"].numbers, catalogue.attributes["weight"].numbers)


def test_what_nothing_is_known_of_leaves_no_file(catalogue, tmp_path: Path):
    bare = replace(catalogue, in_stock=np.ones(3, bool), attributes={})
    bare.save(tmp_path)
    names = {path.stem for path in tmp_path.glob("*.npy")}
    assert {"category_offsets", "category_idx", "ids_slots", "titles_utf8", "price"} < names
    assert not names & {"in_stock", "content", "attribute_0", "categories"}


def test_one_saved_with_a_column_for_each_category_is_read_and_keeps_its_fingerprint(catalogue, tmp_path: Path):
    save_artefact(
        tmp_path,
        "catalogue",
        built_with={},
        arrays={
            "categories": np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1]], np.float32),
            "release_year": catalogue.release_year,
            "price": catalogue.price,
        },
        values={"ids": list(catalogue.ids.ids), "titles": list(catalogue.titles), "category_names": CATEGORY_NAMES},
    )
    loaded = Catalogue.load(tmp_path)
    assert loaded.fingerprint == "c3eb14b3338d64ed"  # as it was before
    assert (loaded.ids, loaded.titles) == (catalogue.ids, catalogue.titles)
    np.testing.assert_array_equal(loaded.category_offsets, catalogue.category_offsets)
    np.testing.assert_array_equal(loaded.category_idx, catalogue.category_idx)


def test_the_large_arrays_are_mapped_ids_and_titles_too(tmp_path: Path):
    n_items = 150_000  # so that each array is above MAPPED_FROM_BYTES
    items = {"item_id": [f"i{item:07}" for item in range(n_items)], "categories": [["a", "b"]] * n_items}
    nothing = {name: [None] * n_items for name in ITEMS_SCHEMA}
    Catalogue.from_items(pl.DataFrame(nothing | items, ITEMS_SCHEMA)).save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    arrays = (loaded.ids.ids.utf8, loaded.ids.slots, loaded.titles.offsets, loaded.category_idx)
    assert all(isinstance(_memory_of(array), mmap) for array in arrays)
    assert loaded.ids.indices(["i0149999", "i0150000"]).tolist() == [149_999, -1]


def _memory_of(array: object) -> object:
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


@pytest.mark.parametrize(
    "change",
    [
        {"titles": Texts.of("abc")},
        {"category_idx": np.array([0, 0, 2], np.int32)},
        {"category_offsets": np.array([0, 1, 1, 3])},
        {"category_names": ("x", "y", "z")},
        {"release_year": np.zeros(3, np.float32)},
        {"in_stock": np.ones(3, bool)},
        {"attributes": {}},
        {"attributes": {"colour": TextAttribute(("blue", "green"), np.array([-1, 0, 1], np.int32))}},
    ],
)
def test_whatever_changes_gives_another_fingerprint(catalogue, change):
    assert replace(catalogue, **change).fingerprint != catalogue.fingerprint


def test_parts_of_different_sizes_are_refused(catalogue, tmp_path: Path):
    replace(catalogue, titles=Texts.of(["only one"])).save(tmp_path)
    with pytest.raises(ArtefactError, match="1 titles for 3 ids"):
        Catalogue.load(tmp_path)


def test_indices_outside_the_catalogue_are_left_out(catalogue):
    np.testing.assert_array_equal(catalogue.known(np.array([2, -1, 3, 0], np.int32)), [2, 0])
