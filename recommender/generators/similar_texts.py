"""Item to item by what is written: the items whose titles and texts are most alike, whoever touched them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.settings.candidates import SimilarTextsSettings
from recommender.catalogue import Catalogue
from recommender.generators.dense_pairs import nearest_of
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.neighbours import generator_of_nearest


def fit_similar_texts(catalogue: Catalogue, settings: SimilarTextsSettings, history_length: int) -> ItemToItemGenerator:
    """The items nearest to each by the cosine of their content vectors; none of what is less alike than unlike.

    Nothing is learnt from events, so that an item nobody has touched is proposed as any other is. Time goes by the
    square of the number of items.
    """
    vectors = catalogue.content

    def cosines(rows: slice) -> npt.NDArray[np.float32]:
        return np.asarray(vectors[rows] @ vectors.T)

    nearest = nearest_of(cosines, len(catalogue), settings.n_neighbours)
    return generator_of_nearest("similar_texts", nearest, Pooling.MEAN, catalogue, history_length, settings.step_weight)
