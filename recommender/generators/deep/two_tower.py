"""What a person comes back for by two towers: one makes a vector of a history, the other one of an item.

A guest trains them; NumPy computes the tower of a person, of whom no vector is kept: whoever has a taste, told by a
history, a session or an item's page, has one. An item that nobody has touched has one where its categories, its text,
its price or its year say something.

Sources: Covington, Adams and Sargin, RecSys 2016; Yi et al., RecSys 2019; see also the programs in `training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.artefact import REBUILD, Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.errors import ArtefactError
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import TwoTowerSettings
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.generators.by_vectors import EncodedVectors, QueryVectors
from recommender.generators.deep.environments import TFRS, TORCH
from recommender.generators.deep.guest import Guest, learnt_by
from recommender.generators.deep.trained_vectors import WHAT_IS_TOLD, Tastes, spread, taste_vectors
from recommender.generators.deep.training.examples import latest_shares
from recommender.generators.deep.training.exchange import Arrays
from recommender.index.vector_index import VectorIndex
from recommender.item_categories import unit_weights
from recommender.query import QueryBatch
from recommender.ragged import offsets_of, spans

KIND: Final = "generator-two_tower"
PARAMETER: Final = "candidates.two_tower"
GUESTS: Final[Mapping[str, Guest]] = {
    "torch": Guest(
        parameter=PARAMETER, module="recommender.generators.deep.training.two_tower_torch", environment=TORCH
    ),
    "tfrs": Guest(parameter=PARAMETER, module="recommender.generators.deep.training.two_tower_tfrs", environment=TFRS),
}


@dataclass(frozen=True)
class PersonTower:
    """The forward pass for one history, as training computes it but for rounding.

    spoken: (n_items, dim + width) what each item of a history says: its own vector, and what it brings to the hidden
    layer. widen_bias: (width,); narrow: (width, dim); narrow_bias: (dim,).
    length: latest items that are read; step_weight: how much each counts.
    """

    spoken: FloatArray
    widen_bias: FloatArray
    narrow: FloatArray
    narrow_bias: FloatArray
    length: int
    step_weight: float

    @property
    def dim(self) -> int:
        return len(self.narrow_bias)

    def vector_of(self, items: ItemIdxArray) -> FloatArray:
        """(dim,) of these items, oldest first, at least one."""
        said = latest_shares(np.array([0, len(items)]), self.step_weight) @ self.spoken[items]
        hidden = np.maximum(said[self.dim :] + self.widen_bias, 0)
        vector: FloatArray = said[: self.dim] + hidden @ self.narrow + self.narrow_bias
        return vector


@dataclass(frozen=True)
class TwoTowerGenerator:
    """What is near the vector of a taste.

    item_vectors: (n_items, dim + 1), zero for an item of which nothing is known; the last number is what speaks for an
    item whatever the taste: its popularity.
    """

    item_vectors: FloatArray
    tower: PersonTower
    catalogue_fingerprint: str
    name: str = "two_tower"

    @classmethod
    def fit(cls, inputs: FitInputs, settings: TwoTowerSettings) -> TwoTowerGenerator:
        """Train it; equal events, items, settings and seed give equal bytes. Raises as `learnt_by`."""
        catalogue, tastes = inputs.catalogue, Tastes.of(inputs.interactions, inputs.as_of, PARAMETER)
        facts = item_facts(catalogue)
        is_described = (np.diff(catalogue.category_offsets) > 0) | facts.any(axis=1)
        is_touched = np.zeros(len(catalogue), bool)
        is_touched[tastes.touched] = True
        learnt = np.flatnonzero(is_touched | is_described).astype(np.int32)
        given: Arrays = {
            **tastes.told(settings, PARAMETER, learnt),
            **_categories(catalogue, learnt),
            "facts": facts[learnt],
            "is_touched": is_touched[learnt],
        }
        read = settings.model_dump(mode="json", exclude={*WHAT_IS_TOLD, "engine"})
        sizes = {"n_categories": len(catalogue.category_names)}
        arrays = learnt_by(GUESTS[settings.engine], given, {**read, **sizes, "seed": inputs.seed})
        item_vectors, spoken = (spread(arrays.pop(name), learnt, len(catalogue)) for name in ("item_vectors", "spoken"))
        tower = PersonTower(spoken, **arrays, length=settings.length, step_weight=settings.step_weight)
        return cls(item_vectors, tower, catalogue.ids.fingerprint)

    def vectors_of(self, queries: QueryBatch) -> QueryVectors:
        """What the taste of each query says."""
        return taste_vectors(queries, self.item_vectors, self.tower.length, self.tower.vector_of)

    @cached_property
    def _index(self) -> VectorIndex:
        return VectorIndex.exact(self.item_vectors, self.catalogue_fingerprint)

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return EncodedVectors(self.vectors_of(queries), self.item_vectors, self._index)

    def save(self, folder: Path) -> Meta:
        tower = self.tower
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={
                "item_vectors": self.item_vectors,
                "spoken": tower.spoken,
                "widen_bias": tower.widen_bias,
                "narrow": tower.narrow,
                "narrow_bias": tower.narrow_bias,
            },
            values={
                "dim": tower.dim,
                "width": len(tower.widen_bias),
                "length": tower.length,
                "step_weight": tower.step_weight,
            },
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> TwoTowerGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        dim, width, length = (int(meta.values[name]) for name in ("dim", "width", "length"))
        step_weight, n_items = float(meta.values["step_weight"]), len(catalogue)
        if min(dim, width, length) < 1 or not 0 < step_weight <= 1:
            raise ArtefactError(f"{folder} is damaged: it says that it is of {meta.values}.", REBUILD)
        tower = PersonTower(
            load_array(folder, "spoken", np.float32, (n_items, dim + width)),
            load_array(folder, "widen_bias", np.float32, (width,)),
            load_array(folder, "narrow", np.float32, (width, dim)),
            load_array(folder, "narrow_bias", np.float32, (dim,)),
            length,
            step_weight,
        )
        item_vectors = load_array(folder, "item_vectors", np.float32, (n_items, dim + 1))
        return cls(item_vectors, tower, catalogue.ids.fingerprint)


def item_facts(catalogue: Catalogue) -> FloatArray:
    """(n_items, n_facts) what is known of items beside ids and categories, as numbers about as large as 1.

    Their release years, their place in price, and what their texts say; zero where unknown.
    """
    years = np.ma.masked_invalid(catalogue.release_year)
    ages = (years - years.mean()) / (years.std() or 1)
    facts = np.column_stack([ages.filled(0), np.nan_to_num(2 * catalogue.price_position - 1), catalogue.content])
    return facts.astype(np.float32)


def _categories(catalogue: Catalogue, items: ItemIdxArray) -> dict[str, npt.NDArray[np.generic]]:
    """Those of these items, and how much each says: all of an item's are a vector of unit length."""
    starts, ends = catalogue.category_offsets[items], catalogue.category_offsets[items.astype(np.int64) + 1]
    lengths = ends - starts
    return {
        "category_offsets": offsets_of(lengths),
        "categories": catalogue.category_idx[spans(starts, lengths)],
        "category_weights": unit_weights(lengths),
    }
