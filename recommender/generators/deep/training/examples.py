"""What the programs of guests learn from: what is told, drawn anew in each epoch, and bags of what told it.

In NumPy, so that what is learnt does not hang on the library that learns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from recommender.ragged import Offsets, lengths_of, offsets_of, rows_of, spans, sum_by, weights_by_step

Numbers = npt.NDArray[np.int64]
FIRST_VECTORS: Final = 0.1  # the spread of the towers' embeddings before anything is learnt
SEEDS_A_MODEL: Final = 1_000_003  # apart: a prime, so that no table of a seed begins as one of the next seeds
SEEDS: Final = 2**31  # as many as every library takes


def drawn_targets(asked: Numbers, first: Numbers, end: Numbers, rng: np.random.Generator) -> Numbers:
    """(n,) for each place that is asked at, the place of one of the items that are to be told there, any alike."""
    n_ahead = end[asked] - first[asked]
    targets: Numbers = first[asked] + np.floor(rng.random(len(asked)) * n_ahead).astype(np.int64)
    return targets


def count_for_anything(weights: FloatArray) -> bool:
    """Whether what these rows say can be divided by their weights' sum: what is very old weighs 0 in so many bits."""
    return bool(weights.sum() >= np.finfo(np.float32).tiny)


def table_seed(seed: int, number: int) -> int:
    """For a library that draws each table by a seed of its own: that of one table of the model with this seed."""
    return (seed * SEEDS_A_MODEL + number) % SEEDS


def log_shares(
    items: npt.NDArray[np.integer], weights: npt.NDArray[np.floating], n_items: int
) -> npt.NDArray[np.float32]:
    """(n_items,) the logarithm of each item's share of the weights: what is told before anything is learnt.

    Each item weighs a hundredth of the mean at least: of one that was touched long ago little is left.
    """
    mass = np.bincount(items, weights.astype(np.float64), n_items)
    return np.asarray(np.log(np.maximum(mass, mass.mean() / 100) / mass.sum()), np.float32)


def latest_shares(offsets: Offsets, step_weight: float) -> FloatArray:
    """(n_values,) how much each value of a row counts beside the others of it, all of them 1; the last one most."""
    weights, rows = weights_by_step(offsets, step_weight), rows_of(offsets)
    sums = sum_by(rows, weights, len(offsets) - 1)
    return np.asarray(weights / sums[rows], np.float32)


@dataclass(frozen=True)
class Bags:
    """What a tower reads: of each row some items and categories, each with its weight, and facts.

    items, categories: one row's after the other's; item_offsets, category_offsets: (n + 1,) where each row begins.
    facts: (n, n_facts), weighted sums of those of the items.
    """

    items: Numbers
    item_weights: FloatArray
    item_offsets: Offsets
    categories: Numbers
    category_weights: FloatArray
    category_offsets: Offsets
    facts: FloatArray

    def __len__(self) -> int:
        return len(self.facts)


@dataclass(frozen=True)
class ItemTraits:
    """What is known of each item: its categories, each with its weight, and facts (n_items, n_facts).

    is_touched: (n_items,) False for an item whose id tells nothing, for nobody had touched it.
    """

    offsets: Offsets
    categories: npt.NDArray[np.int32]
    category_weights: FloatArray
    facts: FloatArray
    is_touched: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, given: Mapping[str, npt.NDArray[Any]]) -> ItemTraits:
        """As `two_tower.py` hands them over."""
        names = ("category_offsets", "categories", "category_weights", "facts", "is_touched")
        return cls(*(given[name] for name in names))

    def bags(self, items: Numbers, weights: FloatArray, offsets: Offsets, is_left_out: npt.NDArray[np.bool_]) -> Bags:
        """Of rows of items, none of them empty; is_left_out: the id of an item tells nothing here, what else is known
        of it does.
        """
        starts, lengths = self.offsets[items], self.offsets[items + 1] - self.offsets[items]
        at = spans(starts, lengths)
        n_categories = np.add.reduceat(lengths, offsets[:-1])
        return Bags(
            items,
            np.where(is_left_out | ~self.is_touched[items], np.float32(0), weights),
            offsets,
            self.categories[at].astype(np.int64),
            self.category_weights[at] * weights.repeat(lengths),
            offsets_of(n_categories),
            np.add.reduceat(self.facts[items] * weights[:, None], offsets[:-1], axis=0),
        )

    def each(self) -> Bags:
        """Every item alone, in a row of its own."""
        n = len(self.is_touched)
        return self.bags(np.arange(n), np.ones(n, np.float32), np.arange(n + 1), np.zeros(n, bool))


@dataclass(frozen=True)
class Batch:
    """Some people at their moments, and what is told of each: row r of `told` is the item items[r].

    weights: (n,) how much each row counts. log_chance: (n,) of the items, of being told in any row of an epoch.
    """

    histories: Bags
    told: Bags
    items: Numbers
    weights: FloatArray
    log_chance: FloatArray

    @cached_property
    def is_told_elsewhere(self) -> npt.NDArray[np.bool_]:
        """(n, n) whether the item of the column is that of the row, told to somebody else."""
        return np.asarray((self.items[:, None] == self.items) & ~np.eye(len(self.items), dtype=bool))


@dataclass(frozen=True)
class Examples:
    """What two towers learn from. given: as `two_tower.py` hands it over; settings: those of `candidates.two_tower`."""

    given: Mapping[str, npt.NDArray[Any]]
    settings: Mapping[str, Any]

    @cached_property
    def traits(self) -> ItemTraits:
        return ItemTraits.of(self.given)

    @cached_property
    def asked(self) -> Numbers:
        """The places after which there is something to tell."""
        return np.flatnonzero(self.given["first"] < self.given["end"])

    @cached_property
    def starts(self) -> Numbers:
        """(n_places,) where the latest items begin that are read at each place."""
        offsets = self.given["offsets"]
        begins: Numbers = offsets[:-1].repeat(lengths_of(offsets))
        return np.maximum(begins, np.arange(len(begins)) + 1 - int(self.settings["length"]))

    @cached_property
    def log_chance(self) -> FloatArray:
        """(n_items,) the logarithm of the chance that an item is told in a row; minus infinity where it never is."""
        first, end = self.given["first"][self.asked], self.given["end"][self.asked]
        n_places = len(self.given["items"])
        share = 1 / (end - first)
        rises = np.bincount(first, share, n_places + 1) - np.bincount(end, share, n_places + 1)
        by_place = np.maximum(np.cumsum(rises)[:-1], 0) / len(self.asked)
        with np.errstate(divide="ignore"):
            return np.log(np.bincount(self.given["items"], by_place, len(self.traits.is_touched))).astype(np.float32)

    def drawn(self, rows: Numbers, rng: np.random.Generator) -> Batch:
        """The rows of `asked` as one batch; what is told, and which ids are left out, is drawn."""
        given, settings = self.given, self.settings
        asked = self.asked[rows]
        told = drawn_targets(asked, given["first"], given["end"], rng)
        items = given["items"][told].astype(np.int64)
        lengths = asked + 1 - self.starts[asked]
        offsets = offsets_of(lengths)
        read = given["items"][spans(self.starts[asked], lengths)].astype(np.int64)
        ones, each = np.ones(len(items), np.float32), np.arange(len(items) + 1)
        left_out = rng.random(len(read)) < settings["id_dropout"], rng.random(len(items)) < settings["id_dropout"]
        return Batch(
            self.traits.bags(read, latest_shares(offsets, settings["step_weight"]), offsets, left_out[0]),
            self.traits.bags(items, ones, each, left_out[1]),
            items,
            given["weights"][told],
            self.log_chance[items],
        )
