"""What comes next after a sequence of items, by a transformer that PyTorch trained and NumPy computes.

Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (SASRec), with the norms before each
part, and trained by cross-entropy over the catalogue. Like ALS it keeps no vector of any person: whoever has a taste,
told by a history, a session or an item's page, has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from contracts.artefact import REBUILD, Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.errors import ArtefactError
from contracts.ids import FloatArray
from contracts.settings.candidates import SequenceSettings
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.generators.by_vectors import EncodedVectors, QueryVectors
from recommender.generators.deep.environments import TORCH
from recommender.generators.deep.guest import Guest, learnt_by
from recommender.generators.deep.trained_vectors import WHAT_IS_TOLD, Tastes, spread, taste_vectors
from recommender.index.vector_index import VectorIndex
from recommender.query import QueryBatch

KIND: Final = "generator-sequence"
GUEST: Final = Guest(
    parameter="candidates.sequence", module="recommender.generators.deep.training.sequence_torch", environment=TORCH
)
NORM_EPSILON: Final = np.float32(1e-5)  # as in training
# Of each array its shape; numbers are widths of a vector.
SHAPES: Final[Mapping[str, tuple[int | str, ...]]] = {
    "positions": ("length", 1),
    "attention_gain": ("blocks", 1),
    "attention_shift": ("blocks", 1),
    "query_key_value": ("blocks", 1, 3),
    "query_key_value_bias": ("blocks", 3),
    "attended": ("blocks", 1, 1),
    "attended_bias": ("blocks", 1),
    "forward_gain": ("blocks", 1),
    "forward_shift": ("blocks", 1),
    "widen": ("blocks", 1, 4),
    "widen_bias": ("blocks", 4),
    "narrow": ("blocks", 4, 1),
    "narrow_bias": ("blocks", 1),
    "last_gain": (1,),
    "last_shift": (1,),
}


@dataclass(frozen=True)
class SequenceEncoder:
    """The forward pass for one sequence, as training computes it but for rounding.

    weights: arrays by the names of SHAPES, those of all blocks in one; n_heads: parts that a vector is compared in.
    """

    weights: Mapping[str, FloatArray]
    n_heads: int

    @property
    def length(self) -> int:
        """How many items of a sequence it looks at, at most."""
        return len(self.weights["positions"])

    @property
    def dim(self) -> int:
        return int(self.weights["positions"].shape[1])

    @property
    def n_blocks(self) -> int:
        return len(self.weights["attended"])

    def last_state(self, items: FloatArray) -> FloatArray:
        """(dim,) what a sequence says of the next item; items: (n, dim) their vectors, the latest last, n > 0."""
        n, dim = items.shape
        states = items * np.float32(math.sqrt(dim)) + self.weights["positions"][-n:]
        for block in range(self.n_blocks):
            # Of the last block the last state alone is asked for.
            n_asked = 1 if block == self.n_blocks - 1 else n
            states = states[-n_asked:] + self._attention(block, states, n_asked)
            states = states + self._forward(block, states)
        last: FloatArray = _normalised(states[-1:], self.weights["last_gain"], self.weights["last_shift"])[0]
        return last

    def _attention(self, block: int, states: FloatArray, n_asked: int) -> FloatArray:
        """(n_asked, dim) what the last n_asked states take of those up to themselves."""
        weights, (n, dim) = self.weights, states.shape
        normal = _normalised(states, weights["attention_gain"][block], weights["attention_shift"][block])
        joined = normal @ weights["query_key_value"][block]
        parts = (joined + weights["query_key_value_bias"][block]).reshape(n, 3, self.n_heads, dim // self.n_heads)
        query, key, value = np.ascontiguousarray(parts.transpose(1, 2, 0, 3))
        scores = query[:, -n_asked:] @ key.transpose(0, 2, 1) / np.float32(math.sqrt(dim // self.n_heads))
        if n_asked > 1:
            scores[:, ~np.tri(n, dtype=bool)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        joint = np.ascontiguousarray(mixed.transpose(1, 0, 2)).reshape(n_asked, dim)
        attended: FloatArray = joint @ weights["attended"][block] + weights["attended_bias"][block]
        return attended

    def _forward(self, block: int, states: FloatArray) -> FloatArray:
        weights = self.weights
        normal = _normalised(states, weights["forward_gain"][block], weights["forward_shift"][block])
        wide = np.maximum(normal @ weights["widen"][block] + weights["widen_bias"][block], 0)
        narrow: FloatArray = wide @ weights["narrow"][block] + weights["narrow_bias"][block]
        return narrow


@dataclass(frozen=True)
class SequenceGenerator:
    """What comes next after the items of a taste, in their order.

    item_vectors: (n_items, dim + 1), zero for an item nobody had touched; the last number is what speaks for an item
    whatever the sequence: its popularity.
    """

    item_vectors: FloatArray
    encoder: SequenceEncoder
    catalogue_fingerprint: str
    name: str = "sequence"

    @classmethod
    def fit(cls, inputs: FitInputs, settings: SequenceSettings) -> SequenceGenerator:
        """Train it; equal events, settings and seed give equal bytes. Raises as `learnt_by`."""
        tastes = Tastes.of(inputs.interactions, inputs.as_of, GUEST.parameter)
        given = tastes.told(settings, GUEST.parameter, tastes.touched)
        read = settings.model_dump(mode="json", exclude=set(WHAT_IS_TOLD))
        weights = learnt_by(GUEST, given, {**read, "seed": inputs.seed, "n_items": len(tastes.touched)})
        vectors = np.column_stack([weights.pop("items"), weights.pop("bias")])
        item_vectors = spread(vectors, tastes.touched, len(inputs.catalogue))
        encoder = SequenceEncoder(weights, settings.n_heads)
        return cls(item_vectors, encoder, inputs.catalogue.ids.fingerprint)

    def vectors_of(self, queries: QueryBatch) -> QueryVectors:
        """What the taste of each query says of the next item."""
        vectors = self.item_vectors
        return taste_vectors(
            queries, vectors, self.encoder.length, lambda items: self.encoder.last_state(vectors[items, :-1])
        )

    @cached_property
    def _index(self) -> VectorIndex:
        return VectorIndex.exact(self.item_vectors, self.catalogue_fingerprint)

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return EncodedVectors(self.vectors_of(queries), self.item_vectors, self._index)

    def save(self, folder: Path) -> Meta:
        encoder = self.encoder
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"item_vectors": self.item_vectors, **encoder.weights},
            values={
                "dim": encoder.dim,
                "blocks": encoder.n_blocks,
                "length": encoder.length,
                "heads": encoder.n_heads,
            },
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> SequenceGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        numbers = {name: int(meta.values[name]) for name in ("dim", "heads", "blocks", "length")}
        dim, n_heads = numbers["dim"], numbers["heads"]
        if min(numbers.values()) < 1 or dim % n_heads:
            raise ArtefactError(f"{folder} is damaged: it says that it is of {numbers}.", REBUILD)
        weights = {
            name: load_array(folder, name, np.float32, tuple(length_of(part, numbers) for part in shape))
            for name, shape in SHAPES.items()
        }
        item_vectors = load_array(folder, "item_vectors", np.float32, (len(catalogue), dim + 1))
        return cls(item_vectors, SequenceEncoder(weights, n_heads), catalogue.ids.fingerprint)


def length_of(part: int | str, numbers: Mapping[str, int]) -> int:
    """Of a part of a shape in SHAPES; numbers: `dim`, `blocks` and `length`."""
    return numbers[part] if isinstance(part, str) else part * numbers["dim"]


def _normalised(states: FloatArray, gain: FloatArray, shift: FloatArray) -> FloatArray:
    """Each state with mean 0 and variance 1, and then as it was learnt."""
    apart = states - states.mean(axis=1, keepdims=True)
    normalised: FloatArray = apart / np.sqrt(np.square(apart).mean(axis=1, keepdims=True) + NORM_EPSILON)
    return normalised * gain + shift
