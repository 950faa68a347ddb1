from __future__ import annotations

import importlib.util
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from contracts.errors import EngineMissing
from contracts.settings.candidates import ContentVectorSettings
from contracts.tables import ITEMS_SCHEMA
from recommender.content_vectors import content_vectors
from recommender.sentence_vectors import AT_ONCE, sentence_vectors
from tests.left_out import needed

needs_sentences = needed(importlib.util.find_spec("wordllama"), "wordllama: `make sentences`")
NOW = datetime(2021, 1, 1, tzinfo=UTC)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@needs_sentences
def test_texts_that_mean_the_like_without_a_word_in_common_are_alike():
    dog, puppy, loan = unit_length(sentence_vectors(["a dog in the garden", "puppies outdoors", "mortgage rates"], 256))
    assert dog @ puppy > 0.3
    assert dog @ puppy > 2 * abs(dog @ loan)


@needs_sentences
def test_a_text_says_the_same_alone_and_beside_others_and_a_shorter_vector_is_the_start_of_a_longer():
    texts = [f"number {number} of many" * (1 + number % 3) for number in range(2 * AT_ONCE + 1)]
    together = sentence_vectors(texts, 256)
    np.testing.assert_allclose(together[-1], sentence_vectors(texts[-1:], 256)[0], atol=1e-6)
    np.testing.assert_array_equal(sentence_vectors(texts, 16), together[:, :16])


@needs_sentences
def test_items_are_of_unit_length_and_zero_without_a_word():
    rows = [{"item_id": "i2", "title": "Tea pot"}, {"item_id": "i1", "title": None}, {"item_id": "i3", "text": "Tea"}]
    found = content_vectors(
        pl.DataFrame(rows, schema=ITEMS_SCHEMA), NOW, ContentVectorSettings(model="sentences", dim=64), seed=7
    )
    assert found.shape == (3, 64)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [0, 1, 1], atol=1e-6)


def test_without_the_package_it_says_what_to_type(monkeypatch):
    monkeypatch.setattr("recommender.sentence_vectors.PACKAGE", "no-such-package")
    with pytest.raises(EngineMissing, match="make sentences"):
        sentence_vectors(["a text"], 12)
