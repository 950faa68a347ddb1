"""The examples in docstrings run, and give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "feature_store.definitions.views",
    "feature_store.offline.offline_store",
    "recommender.generators.als",
    "recommender.generators.base",
    "recommender.generators.content",
    "recommender.generators.indexed",
    "recommender.generators.item_to_item",
    "recommender.generators.new_arrivals",
    "recommender.generators.popular",
    "recommender.index.vector_index",
    "recommender.query",
    "recommender.ranking.ranker",
    "recommender.slates.slate_similarity",
    "release.answering.batch",
    pytest.param(
        "release.answering.pyfunc_model",
        # MLflow says of a class of its own, while it imports, that a field of it is typed Any.
        marks=pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    ),
    "release.answering.request_path",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(name))
    assert attempted, f"{name} has no example"
    assert not failed
