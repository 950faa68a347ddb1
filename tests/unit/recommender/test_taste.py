from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.ragged import RaggedItems
from recommender.taste import ItemCategories

N_ITEMS, N_CATEGORIES = 7, 4
ITEMS = st.lists(st.integers(0, N_ITEMS - 1), max_size=6)


def categories_of(rng: np.random.Generator, items_by_row: list[list[int]]) -> tuple[ItemCategories, np.ndarray]:
    """The categories of those items in a random catalogue, and (n_items, N_CATEGORIES) which item is of which."""
    is_of = rng.random((N_ITEMS, N_CATEGORIES)) < 0.4
    offsets = np.concatenate([[0], np.cumsum(is_of.sum(axis=1))])
    items = RaggedItems.of([np.array(row, np.int32) for row in items_by_row])
    return ItemCategories(items, offsets, np.nonzero(is_of)[1].astype(np.int32)), is_of


@given(st.lists(ITEMS, min_size=1, max_size=3), st.integers(0, 99))
def test_what_is_made_of_categories_is_what_a_walk_over_every_item_gives(items_by_row, seed):
    rng = np.random.default_rng(seed)
    categories, is_of = categories_of(rng, items_by_row)
    by_category = rng.choice([-2.0, 0.0, 0.25, 3.0], (len(items_by_row), N_CATEGORIES))
    products, means = categories.inner_product(by_category), categories.mean(by_category)
    largest, most_wanted = categories.largest(by_category), categories.most_wanted(by_category)
    entries = [(row, item) for row, items in enumerate(items_by_row) for item in items]
    for at, (row, item) in enumerate(entries):
        own = np.flatnonzero(is_of[item])
        values = [by_category[row, category] for category in own]
        np.testing.assert_allclose(products[at], sum(values) / max(len(own), 1) ** 0.5)
        np.testing.assert_allclose(means[at], sum(values) / len(own) if len(own) else np.nan)
        assert largest[at] == max(values, default=-np.inf)
        assert most_wanted[at] == (own[int(np.argmax(values))] if len(own) else -1)


@given(st.lists(ITEMS, min_size=1, max_size=3), st.integers(0, 99))
def test_what_is_summed_by_category_is_what_a_walk_over_every_item_gives(items_by_row, seed):
    rng = np.random.default_rng(seed)
    categories, is_of = categories_of(rng, items_by_row)
    values = rng.random(sum(map(len, items_by_row)))
    sums = np.zeros((len(items_by_row), N_CATEGORIES))
    latest = np.full((len(items_by_row), N_CATEGORIES), -np.inf)
    entries = [(row, item) for row, items in enumerate(items_by_row) for item in items]
    for (row, item), value in zip(entries, values, strict=True):
        sums[row] += is_of[item] / max(is_of[item].sum(), 1) ** 0.5
        latest[row] = np.where(is_of[item], np.maximum(latest[row], value), latest[row])
    np.testing.assert_allclose(categories.by_category(N_CATEGORIES), sums)
    np.testing.assert_array_equal(categories.latest_by_category(values, N_CATEGORIES), latest)
