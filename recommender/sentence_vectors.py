"""What a text says by a static model of English: the mean of what its pieces of words stand for.

The model, its 256 numbers of 32,000 pieces, comes within the package wordllama, so that nothing is fetched. It was
trained so that the first numbers of a vector tell most, and are a vector of their own.
Source: wordllama (MIT), with weights distilled from Llama's embeddings; Kusupati et al., "Matryoshka Representation
Learning", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import EngineMissing
from contracts.ids import FloatArray

PACKAGE = "wordllama"
AT_ONCE = 64  # texts: a batch is as long as its longest


def sentence_vectors(documents: Sequence[str], dim: int) -> FloatArray:
    """(n_documents, dim) float32 rows of whatever length, dim at most 256; zero for a text without a word.

    Raises EngineMissing where the package is not installed.
    """
    model, vectors = _model(), np.empty((len(documents), dim), np.float32)
    for start in range(0, len(documents), AT_ONCE):
        vectors[start : start + AT_ONCE] = model.embed(list(documents[start : start + AT_ONCE]))[:, :dim]
    return vectors


def check_sentences() -> str:
    """The version of the package that is installed; raises EngineMissing where none is."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise EngineMissing(
            f"`candidates.content_vectors.model: sentences` needs the package {PACKAGE}, which is not installed.",
            "Type `make sentences`, and the same command again; or set it to `words` in params.yaml.",
        ) from error


def _model() -> Any:
    check_sentences()
    import wordllama  # noqa: PLC0415 - an extra

    # It looks for its own tokenizer beside its folder, and then in the cache that it is told of.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
