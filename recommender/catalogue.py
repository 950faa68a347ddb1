"""The items a release knows: dense ids, titles, categories, years, prices, stock, attributes, what their texts say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.artefact import Meta, fingerprint_array, load_array, load_meta, reading, save_artefact
from contracts.fingerprint import fingerprint_json
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemId, ItemIdxArray
from contracts.texts import Texts
from recommender.item_attributes import (
    Attribute,
    attribute_arrays,
    attribute_columns,
    attribute_values,
    load_attributes,
)
from recommender.item_categories import (
    DENSE,
    IDX,
    OFFSETS,
    CategoryIdx,
    categories_of,
    load_categories,
    load_dense_categories,
    unit_rows,
)
from recommender.ragged import Offsets, RaggedItems

KIND = "catalogue"


@dataclass(frozen=True)
class Catalogue:
    """Everything known of the items, aligned with `ids`: position `item_idx` describes item `ids.ids[item_idx]`.

    category_offsets: (n_items + 1,); item i is of category_idx[category_offsets[i]:category_offsets[i + 1]], ascending
    places among `category_names`.
    release_year, price: (n_items,) float32, NaN where unknown.
    content: (n_items, dim) float32, rows of unit length (`content_vectors`), or zero where the text says nothing.
    in_stock: (n_items,) False for what is known to be out of stock. attributes: by name, sorted.
    dense_fingerprint: of a catalogue saved when categories had a column each, the fingerprint of that array: by it,
    what was built with the catalogue knows it.
    """

    ids: IdMap
    titles: Texts
    category_names: tuple[str, ...]
    category_offsets: Offsets
    category_idx: CategoryIdx
    release_year: FloatArray
    price: FloatArray
    content: FloatArray
    in_stock: npt.NDArray[np.bool_]
    attributes: Mapping[str, Attribute]
    dense_fingerprint: str | None = None

    @classmethod
    def from_items(cls, items: pl.DataFrame, content: FloatArray | None = None) -> Catalogue:
        """The catalogue of a canonical `items` table, whatever the order of its rows; a missing title is the id.

        content: aligned with the sorted ids; without it no text says anything.
        """
        rows = items.sort("item_id")
        ids = IdMap.of(rows["item_id"])
        names, offsets, category_idx = categories_of(rows["categories"])
        titles = Texts.of(rows.select(pl.col("title").fill_null(pl.col("item_id"))).to_series())
        years, prices = (np.array(rows[name].cast(pl.Float32), np.float32) for name in ("release_year", "price"))
        vectors = _no_content(len(ids)) if content is None else content
        in_stock = rows["in_stock"].fill_null(value=True).to_numpy()
        attributes = attribute_columns(rows["attributes"].to_list())
        return cls(ids, titles, names, offsets, category_idx, years, prices, vectors, in_stock, attributes)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Of the whole content; `ids.fingerprint` is that of the ids alone."""
        return fingerprint_json(
            {
                "ids": self.ids.fingerprint,
                "category_names": self.category_names,
                "release_year": fingerprint_array(self.release_year),
                **self._fingerprints_by_form,
                **{name: fingerprint_array(array) for name, array in self._later_arrays.items()},
                **self._later_values,
            }
        )

    @property
    def _fingerprints_by_form(self) -> dict[str, Any]:
        if self.dense_fingerprint is not None:
            return {"titles": list(self.titles), "categories": self.dense_fingerprint}
        return {
            name: fingerprint_array(array)
            for name, array in {**self.titles.arrays("titles"), **self._category_arrays}.items()
        }

    @property
    def _category_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {OFFSETS: self.category_offsets, IDX: self.category_idx}

    @property
    def _later_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays that older catalogues lack; one without any value is left out, so that their fingerprint stays."""
        there = {
            "price": not np.isnan(self.price).all(),
            "content": self.content.any(),
            "in_stock": not self.in_stock.all(),
        }
        own = {name: getattr(self, name) for name, is_there in there.items() if is_there}
        return own | attribute_arrays(self.attributes)

    @property
    def _later_values(self) -> dict[str, Any]:
        return {"attributes": attribute_values(self.attributes)} if self.attributes else {}

    def unit_categories_of(self, item_idx: ItemIdxArray) -> FloatArray:
        """(n, n_categories) a row of unit length for each of these items; one without categories is a row of zeros."""
        return unit_rows(self.category_offsets, self.category_idx, item_idx, len(self.category_names))

    @cached_property
    def category_prior(self) -> npt.NDArray[np.float64]:
        """(n_categories,) how much of the catalogue each category is: the mean of all `unit_categories_of`."""
        n_categories = len(self.category_names)
        lengths = np.diff(self.category_offsets)
        weights = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
        return np.bincount(self.category_idx, weights, n_categories) / max(len(self), 1)

    @cached_property
    def price_position(self) -> FloatArray:
        """(n_items,) the share of the other priced items that are cheaper, and half of those that cost the same.

        NaN without a price.
        """
        priced = np.flatnonzero(~np.isnan(self.price))
        position = np.full(len(self), np.nan, np.float32)
        if len(priced) > 1:
            position[priced] = (_mean_ranks(self.price[priced]) - 1) / (len(priced) - 1)
        return position

    def title(self, item_id: ItemId) -> str:
        """The item's title; the id itself for an item the catalogue does not know."""
        item_idx = self.ids.index(item_id)
        return self.titles[item_idx] if item_idx >= 0 else item_id

    def category_vector(self, names: tuple[str, ...] | list[str]) -> FloatArray:
        """(n_categories,) 1 for each named category, whatever its case; unknown names are left out."""
        vector = np.zeros(len(self.category_names), np.float32)
        for name in names:
            vector[self._categories_by_folded_name.get(name.casefold(), [])] = 1
        return vector

    @cached_property
    def _categories_by_folded_name(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.category_names):
            places.setdefault(name.casefold(), []).append(place)
        return places

    def known(self, item_idx: ItemIdxArray) -> ItemIdxArray:
        """Only those indices that are items of this catalogue, in their order."""
        return item_idx[self._is_known(item_idx)]

    def known_of(self, items: RaggedItems) -> RaggedItems:
        """Only those items of each row that are of this catalogue, in their order."""
        known = self._is_known(items.item_idx)
        return items if known.all() else items.where(known)

    def _is_known(self, item_idx: ItemIdxArray) -> npt.NDArray[np.bool_]:
        return (item_idx >= 0) & (item_idx < len(self))

    def save(self, folder: Path) -> Meta:
        """Write the catalogue as an artefact of its own folder."""
        return save_artefact(
            folder,
            KIND,
            built_with={},
            arrays={
                **self.ids.arrays("ids"),
                **self.titles.arrays("titles"),
                **self._category_arrays,
                "release_year": self.release_year,
                **self._later_arrays,
            },
            values={"category_names": list(self.category_names), **self._later_values},
        )

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Read what `save` wrote, now or before; raises ArtefactError when it is damaged or its parts disagree."""
        meta = load_meta(folder, KIND)
        values = meta.values
        with reading(folder):
            names = _texts(values["category_names"])
            if f"{DENSE}.npy" in meta.files:  # saved before version 6 of the bundle's format
                ids, titles = IdMap.in_order(_texts(values["ids"])), Texts.of(_texts(values["titles"]))
                offsets, category_idx, dense_fingerprint = load_dense_categories(folder, len(ids), len(names))
            else:
                ids, titles, dense_fingerprint = IdMap.load(folder, "ids"), Texts.load(folder, "titles"), None
                offsets, category_idx = load_categories(folder, len(ids), len(names))
            if len(titles) != len(ids):
                raise ValueError(f"it has {len(titles)} titles for {len(ids)} ids")
            return cls(
                ids,
                titles,
                names,
                offsets,
                category_idx,
                load_array(folder, "release_year", np.float32, (len(ids),)),
                _load_later_array(folder, meta, "price", np.full(len(ids), np.nan, np.float32)),
                _load_content(folder, meta, len(ids)),
                _load_later_array(folder, meta, "in_stock", np.ones(len(ids), bool)),
                load_attributes(folder, values.get("attributes", ()), len(ids)),
                dense_fingerprint,
            )


def _load_later_array(folder: Path, meta: Meta, name: str, default: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of the artefact, of the default's type and shape; the default where the artefact has none."""
    return load_array(folder, name, default.dtype, default.shape) if f"{name}.npy" in meta.files else default


def _load_content(folder: Path, meta: Meta, n_items: int) -> FloatArray:
    if "content.npy" not in meta.files:
        return _no_content(n_items)
    return load_array(folder, "content", np.float32, (n_items, None))


def _no_content(n_items: int) -> FloatArray:
    return np.zeros((n_items, 1), np.float32)


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r:.60} is no list of texts")
    return tuple(values)


def _mean_ranks(values: FloatArray) -> npt.NDArray[np.float64]:
    # As scipy.stats.rankdata; importing that takes a second of each start of a server.
    _, which, n_alike = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(n_alike) - (n_alike - 1) / 2)[which]
    return ranks
