from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from recommender.catalogue import Catalogue
from recommender.generators.als import AlsGenerator
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery
from tests.recommender_worlds import CANDIDATE_SETTINGS, checkerboard, proposed, scored
from tests.worlds import small_world

# implicit warns when OpenBLAS has threads of its own, which makes it slow and not wrong.
pytestmark = pytest.mark.filterwarnings("ignore:OpenBLAS is configured:RuntimeWarning")

SETTINGS = CANDIDATE_SETTINGS.als.model_copy(update={"factors": 8})


def solved_slowly(factors: np.ndarray, items: list[int], regularization: float, alpha: float) -> np.ndarray:
    """Hu, Koren and Volinsky's equation 4, term by term: x = (YtCY + reg I)^-1 Yt C p."""
    n_items, n_factors = factors.shape
    confidence, preference = np.ones(n_items), np.zeros(n_items)
    for item in items:
        confidence[item], preference[item] = alpha, 1
    left, right = regularization * np.eye(n_factors), np.zeros(n_factors)
    for item in range(n_items):
        left += confidence[item] * np.outer(factors[item], factors[item])
        right += confidence[item] * preference[item] * factors[item]
    return np.linalg.solve(left, right)


@pytest.fixture(scope="module")
def fitted() -> tuple[AlsGenerator, Interactions]:
    world = small_world()
    catalogue = Catalogue.from_items(world.items)
    interactions = Interactions.of(world.interactions, catalogue.ids)
    return AlsGenerator.fit(interactions, catalogue, SETTINGS, seed=3), interactions


def asked(interactions: Interactions, user_idx: int) -> RetrievalQuery:
    return RetrievalQuery(2_000_000_000, interactions.history(user_idx, 0, 2_000_000_000))


def user_vector(als: AlsGenerator, query: RetrievalQuery) -> np.ndarray:
    return als.fold_in(QueryBatch.of([query])).vectors[0]


def test_the_folded_in_vector_is_that_of_the_slow_readable_solver(fitted):
    als, interactions = fitted
    for user_idx in (0, 7, 31):
        query = asked(interactions, user_idx)
        slow = solved_slowly(
            als.item_factors.astype(float),
            QueryBatch.of([query]).taste_items.item_idx.tolist(),
            SETTINGS.regularization,
            SETTINGS.alpha,
        )
        np.testing.assert_allclose(user_vector(als, query), slow, atol=1e-4)


def test_the_folded_in_vector_is_that_of_implicits_own_fold_in(fitted):
    als, interactions = fitted
    model = AlternatingLeastSquares(
        factors=8, regularization=SETTINGS.regularization, alpha=SETTINGS.alpha, num_threads=1
    )
    model.item_factors = als.item_factors
    for user_idx in (0, 7, 31):
        query = asked(interactions, user_idx)
        items = np.sort(QueryBatch.of([query]).taste_items.item_idx)
        row = csr_matrix(
            (np.ones(len(items), np.float32), (np.zeros(len(items), int), items)), shape=(1, len(als.item_factors))
        )
        np.testing.assert_allclose(user_vector(als, query), model.recalculate_user(0, row), atol=1e-4)


def test_two_fits_with_one_seed_are_equal_to_the_byte_and_another_seed_is_another_model(fitted):
    als, interactions = fitted
    catalogue = Catalogue.from_items(small_world().items)
    assert (
        AlsGenerator.fit(interactions, catalogue, SETTINGS, seed=3).embeddings_fingerprint == als.embeddings_fingerprint
    )
    assert (
        AlsGenerator.fit(interactions, catalogue, SETTINGS, seed=4).embeddings_fingerprint != als.embeddings_fingerprint
    )


def test_an_item_nobody_touched_is_neither_proposed_nor_scored():
    world = checkerboard()
    touched_once = world.tables.interactions["item_id"] != "i105"
    interactions = Interactions.of(world.tables.interactions.filter(touched_once), world.catalogue.ids)
    als = AlsGenerator.fit(interactions, world.catalogue, SETTINGS, seed=1)
    query = world.query("u501")
    assert 5 not in proposed(als, replace(query, excluded=np.empty(0, np.int32)), 100)[0]
    assert np.isnan(scored(als, query, np.array([5], np.int32))).all()


def test_beside_an_item_the_persons_own_history_is_silent(fitted):
    als, interactions = fitted
    beside = replace(asked(interactions, 3), anchor=9)
    np.testing.assert_array_equal(user_vector(als, beside), user_vector(als, replace(asked(interactions, 5), anchor=9)))
