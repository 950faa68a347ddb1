"""What two towers learn from, and what a person's tower computes, without any guest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from contracts.settings.candidates import TwoTowerSettings
from recommender.catalogue import Catalogue
from recommender.generators.deep import two_tower
from recommender.generators.deep.training.examples import Examples
from recommender.generators.deep.two_tower import PersonTower, TwoTowerGenerator, item_facts
from recommender.query import QueryBatch, RetrievalQuery
from tests.recommender_worlds import CHECKERBOARD_END as END
from tests.recommender_worlds import CHECKERBOARD_ITEMS, DEEP_LEARNT, DEEP_SETTINGS, checkerboard, interactions

SETTINGS = {"length": 2, "step_weight": 0.5, "id_dropout": 0.0}


def given() -> dict[str, Any]:
    """Two people and four items, of which nobody had touched the last; the second one is of two categories."""
    return {
        "items": np.array([2, 0, 1, 1, 2], np.int32),
        "offsets": np.array([0, 3, 5]),
        "first": np.array([1, 2, 3, 4, 5]),
        "end": np.array([3, 3, 3, 5, 5]),
        "weights": np.array([1, 2, 3, 4, 5], np.float32),
        "category_offsets": np.array([0, 1, 3, 3, 4]),
        "categories": np.array([1, 0, 1, 0], np.int32),
        "category_weights": np.array([1, 0.6, 0.8, 1], np.float32),
        "facts": np.array([[1, 0], [0, 1], [2, 2], [3, 0]], np.float32),
        "is_touched": np.array([True, True, True, False]),
    }


def test_an_item_is_told_as_often_as_it_is_drawn():
    examples = Examples(given(), SETTINGS)
    assert examples.asked.tolist() == [0, 1, 3]
    # After the first place item 0 or 1, after the second item 1, after the fourth item 2; item 3 never.
    np.testing.assert_allclose(np.exp(examples.log_chance), [1 / 3 * 1 / 2, 1 / 3 * (1 / 2 + 1), 1 / 3, 0], rtol=1e-6)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([examples.drawn(np.arange(3), rng).items for _ in range(1000)])
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / len(drawn), np.exp(examples.log_chance), atol=0.02)


def test_a_batch_holds_the_latest_items_of_each_history_and_what_is_known_of_them():
    batch = Examples(given(), SETTINGS).drawn(np.array([1, 2]), np.random.default_rng(1))
    histories = batch.histories
    assert histories.item_offsets.tolist() == [0, 2, 3]
    assert histories.items.tolist() == [2, 0, 1]
    np.testing.assert_allclose(histories.item_weights, [0.5 / 1.5, 1 / 1.5, 1])
    assert histories.category_offsets.tolist() == [0, 1, 3]
    assert histories.categories.tolist() == [1, 0, 1]
    np.testing.assert_allclose(histories.category_weights, [1 / 1.5, 0.6, 0.8])
    np.testing.assert_allclose(histories.facts, [[(2 * 0.5 + 1) / 1.5, 2 * 0.5 / 1.5], [0, 1]], rtol=1e-6)
    assert batch.items.tolist() == [1, 2]
    assert batch.weights.tolist() == [3, 5]
    assert batch.told.items.tolist() == [1, 2]
    assert batch.told.categories.tolist() == [0, 1]
    assert not batch.is_told_elsewhere.any()


def test_of_an_item_that_is_told_to_two_each_is_the_others():
    batch = Examples(given(), SETTINGS).drawn(np.array([1, 1, 2]), np.random.default_rng(1))
    assert batch.is_told_elsewhere.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_ids_are_left_out_by_their_share_and_categories_are_not(share):
    examples = Examples(given(), {**SETTINGS, "id_dropout": share})
    bags = [examples.drawn(np.arange(3), np.random.default_rng(seed)) for seed in range(200)]
    for kind in ("histories", "told"):
        weights = np.concatenate([getattr(batch, kind).item_weights for batch in bags])
        assert abs((weights == 0).mean() - share) < 0.06
        assert all(getattr(batch, kind).category_weights.all() for batch in bags)


def test_the_id_of_what_nobody_touched_tells_nothing():
    each = Examples(given(), SETTINGS).traits.each()
    assert each.item_weights.tolist() == [1, 1, 1, 0]
    assert each.categories.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(each.facts, given()["facts"])


def test_a_history_is_the_weighted_sum_of_what_its_items_say_through_the_hidden_layer():
    spoken = np.array([[1, 0, 2, -4], [0, 1, -2, 2]], np.float32)  # two numbers of its own, two for the hidden layer
    narrow = np.array([[10, 0], [0, 10]], np.float32)
    tower = PersonTower(
        spoken, np.array([0.5, 0], np.float32), narrow, np.array([0, 0.25], np.float32), length=5, step_weight=0.5
    )
    # The first item counts 1 / 3, the second one 2 / 3: hidden 2 / 3 - 4 / 3 + 0.5 < 0, and -4 / 3 + 4 / 3.
    np.testing.assert_allclose(tower.vector_of(np.array([0, 1])), [1 / 3, 2 / 3 + 0.25], atol=1e-6)
    np.testing.assert_allclose(tower.vector_of(np.array([0])), [1 + 10 * 2.5, 0.25])


def test_an_item_that_nobody_touched_is_proposed_by_what_is_known_of_it(monkeypatch):
    """Of one without categories, year, price or text nothing is known: it has no vector, and no score."""
    items = checkerboard().tables.items.with_columns(
        categories=pl.when(pl.col("item_id") == "i111").then(pl.lit([], pl.List(pl.String))).otherwise("categories"),
        release_year=pl.lit(None, pl.Int32),
    )
    catalogue = Catalogue.from_items(items)
    told: dict[str, Any] = {}

    def learnt(guest: object, arrays: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        told.update(arrays=arrays, settings=settings)
        n, dim, width = len(arrays["facts"]), settings["dim"], settings["width"]
        return {
            "item_vectors": np.ones((n, dim + 1), np.float32),
            "spoken": np.ones((n, dim + width), np.float32),
            "widen_bias": np.zeros(width, np.float32),
            "narrow": np.zeros((width, dim), np.float32),
            "narrow_bias": np.zeros(dim, np.float32),
        }

    monkeypatch.setattr(two_tower, "learnt_by", learnt)
    known = interactions(("u1", 3, 1), ("u1", 4, 2))
    inputs = two_tower.FitInputs(known, catalogue, END.timestamp(), {}, seed=7)
    generator = TwoTowerGenerator.fit(inputs, DEEP_SETTINGS["two_tower"])
    assert told["arrays"]["is_touched"].tolist() == [place in (3, 4) for place in range(CHECKERBOARD_ITEMS - 1)]
    assert told["arrays"]["items"].tolist() == [3, 4]
    query = RetrievalQuery(0, preferred_items=np.array([3], np.int32), excluded=np.array([3], np.int32))
    found = generator.encode(QueryBatch.of([query])).propose(20).item_idx.tolist()
    assert found == [place for place in range(CHECKERBOARD_ITEMS - 1) if place != 3]


def test_facts_are_zero_where_unknown():
    catalogue = checkerboard().catalogue
    facts = item_facts(catalogue)
    years = np.arange(2001, 2012)  # of all items but the first
    np.testing.assert_allclose(facts[1:, 0], (years - years.mean()) / years.std(), rtol=1e-4)
    assert facts[0, 0] == 0
    assert not facts[:, 1].any()
    unknown = replace(catalogue, release_year=np.full(len(catalogue), np.nan, np.float32))
    assert not item_facts(unknown).any()


def test_only_the_latest_items_are_read():
    kept = TwoTowerGenerator.load(DEEP_LEARNT / "two_tower", checkerboard().catalogue)

    def vector(*items: int) -> list[float]:
        query = RetrievalQuery(0, preferred_items=np.array(items, np.int32))
        return kept.vectors_of(QueryBatch.of([query])).vectors[0].tolist()

    assert kept.tower.length == 6
    assert vector(1, 2, 3, 4, 5, 6, 7) == vector(2, 3, 4, 5, 6, 7) != vector(3, 4, 5, 6, 7)


def test_tensorflow_is_not_asked_for_a_gpu():
    with pytest.raises(ValidationError, match="device is cuda; with `engine: tfrs` it is cpu"):
        TwoTowerSettings(engine="tfrs", device="cuda")
