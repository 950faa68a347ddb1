"""The items a release knows: their dense ids, titles, categories and years."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from contracts.artefact import Meta, fingerprint_array, load_array, load_meta, reading, save_artefact
from contracts.fingerprint import fingerprint_json
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemId, ItemIdxArray

KIND = "catalogue"


@dataclass(frozen=True)
class Catalogue:
    """Everything known of the items, aligned with `ids`: position `item_idx` describes item `ids.ids[item_idx]`.

    categories: (n_items, n_categories) float32, 1 where the item is of the category; columns as `category_names`.
    release_year: (n_items,) float32, NaN where unknown.
    """

    ids: IdMap
    titles: tuple[str, ...]
    category_names: tuple[str, ...]
    categories: FloatArray
    release_year: FloatArray

    @classmethod
    def from_items(cls, items: pl.DataFrame) -> Catalogue:
        """The catalogue of a canonical `items` table, whatever the order of its rows; a missing title is the id."""
        rows = items.sort("item_id")
        ids = IdMap.of(rows["item_id"])
        names = sorted({name for names in rows["categories"].to_list() for name in names or ()})
        column = {name: position for position, name in enumerate(names)}
        categories = np.zeros((len(ids), len(names)), np.float32)
        for item_idx, item_categories in enumerate(rows["categories"].to_list()):
            categories[item_idx, [column[name] for name in item_categories or ()]] = 1
        titles = rows.select(pl.col("title").fill_null(pl.col("item_id"))).to_series().to_list()
        years = rows["release_year"].cast(pl.Float32).to_numpy()
        return cls(ids, tuple(titles), tuple(names), categories, np.array(years, np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Of the whole content; `ids.fingerprint` is that of the ids alone."""
        return fingerprint_json(
            {
                "ids": self.ids.fingerprint,
                "titles": self.titles,
                "category_names": self.category_names,
                "categories": fingerprint_array(self.categories),
                "release_year": fingerprint_array(self.release_year),
            }
        )

    @cached_property
    def unit_categories(self) -> FloatArray:
        """(n_items, n_categories) rows of unit length; an item without categories stays zero."""
        length = np.linalg.norm(self.categories, axis=1, keepdims=True)
        return np.asarray(self.categories / np.maximum(length, 1), np.float32)

    @cached_property
    def category_prior(self) -> FloatArray:
        """(n_categories,) how much of the catalogue each category is: the mean of `unit_categories`."""
        return np.asarray(self.unit_categories.mean(axis=0) if len(self) else self.unit_categories.sum(axis=0))

    def title(self, item_id: ItemId) -> str:
        """The item's title; the id itself for an item the catalogue does not know."""
        item_idx = self.ids.index(item_id)
        return self.titles[item_idx] if item_idx >= 0 else item_id

    def category_vector(self, names: tuple[str, ...] | list[str]) -> FloatArray:
        """(n_categories,) 1 for each named category, whatever its case; unknown names are left out."""
        wanted = {name.casefold() for name in names}
        return np.array([name.casefold() in wanted for name in self.category_names], np.float32)

    def known(self, item_idx: ItemIdxArray) -> ItemIdxArray:
        """Only those indices that are items of this catalogue, in their order."""
        return item_idx[(item_idx >= 0) & (item_idx < len(self))]

    def save(self, folder: Path) -> Meta:
        """Write the catalogue as an artefact of its own folder."""
        return save_artefact(
            folder,
            KIND,
            built_with={},
            arrays={"categories": self.categories, "release_year": self.release_year},
            values={
                "ids": list(self.ids.ids),
                "titles": list(self.titles),
                "category_names": list(self.category_names),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Read what `save` wrote; raises ArtefactError when it is damaged or its parts disagree."""
        values = load_meta(folder, KIND).values
        with reading(folder):
            ids, titles, names = (_texts(values[name]) for name in ("ids", "titles", "category_names"))
            if len(titles) != len(ids):
                raise ValueError(f"it has {len(titles)} titles for {len(ids)} ids")
            return cls(
                IdMap(tuple(ItemId(item_id) for item_id in ids)),
                titles,
                names,
                load_array(folder, "categories", np.float32, (len(ids), len(names))),
                load_array(folder, "release_year", np.float32, (len(ids),)),
            )


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r:.60} is no list of texts")
    return tuple(values)
