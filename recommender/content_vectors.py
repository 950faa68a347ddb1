"""Content vectors: what an item's title and text say, in a few numbers that compare by their cosine.

`words`: TF-IDF of the words, reduced by a truncated singular value decomposition (latent semantic analysis: Deerwester
et al., JASIS 1990). Fitted on the items that were in the catalogue before the fit's cutoff, and on nothing else:
events, labels and the words of later items have no part in it. `sentences`: a static model of English, learnt from
other texts before. The vectors lie in the catalogue, and its fingerprint covers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.ids import FloatArray
from contracts.settings.candidates import ContentVectorSettings

# A word that one item alone has makes it like no other.
FEWEST_ITEMS = 2
MOST_WORDS = 20_000
SMALLEST_SINGULAR_VALUE = 1e-6  # below it a direction is rounding, and points anywhere


def content_vectors(
    items: pl.DataFrame, known_before: datetime, settings: ContentVectorSettings, seed: int
) -> FloatArray:
    """(n_items, settings.dim) float32 rows of unit length in the order of item_id; zero where no known word is left.

    items: a canonical table, in any order; a title alone will do. Equal items and seed give equal bytes.
    Raises EngineMissing where the model is not installed.
    """
    rows = items.sort("item_id")
    documents = rows.select(pl.concat_str("title", "text", separator=" ", ignore_nulls=True)).to_series().to_list()
    if settings.model == "sentences":
        # An extra that only who asks for it has.
        from recommender.sentence_vectors import sentence_vectors  # noqa: PLC0415 see above

        return _unit_length(sentence_vectors(documents, settings.dim))
    known = rows.select(pl.col("created_ts").is_null() | (pl.col("created_ts") < known_before)).to_series().to_numpy()
    return _unit_length(_word_vectors(documents, known, settings.dim, seed))


def _word_vectors(
    documents: Sequence[str], known: npt.NDArray[np.bool_], dim: int, seed: int
) -> npt.NDArray[np.float64]:
    """(n_documents, dim) of the words of each; known: (n_documents,) those that are learnt from."""
    # The server loads vectors and never fits them: it need not pay for these.
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 see above

    words = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", min_df=FEWEST_ITEMS, max_features=MOST_WORDS, dtype=np.float64
    )
    try:
        words.fit([document for document, there in zip(documents, known, strict=True) if there])
    except ValueError:  # no word is in two items
        return np.zeros((len(documents), dim))
    # More BLAS threads than one would split sums differently from machine to machine.
    with threadpool_limits(1, "blas"):
        weights = words.transform(documents)
        return np.asarray(weights @ _topic_directions(weights[known], dim, seed))


def _topic_directions(weights: Any, dim: int, seed: int) -> npt.NDArray[np.float64]:
    """(n_words, dim) the right singular vectors, largest first; a column is zero where the texts have fewer directions.

    Each points to where its heaviest word is positive: scikit-learn turns them so.
    """
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]  # noqa: PLC0415 see above

    if weights.shape[1] == 1:  # one word has one direction, which scikit-learn refuses to look for
        return np.eye(1, dim)
    # Texts that are all alike have no variance, or a rounding error of one; scikit-learn divides by it.
    with np.errstate(divide="ignore", invalid="ignore"):
        model = TruncatedSVD(min(dim, *weights.shape), n_iter=10, random_state=seed).fit(weights)
    right_vectors = model.components_[model.singular_values_ > SMALLEST_SINGULAR_VALUE]
    directions = np.zeros((weights.shape[1], dim))
    directions[:, : len(right_vectors)] = right_vectors.T
    return directions


def _unit_length(vectors: FloatArray | npt.NDArray[np.float64]) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
