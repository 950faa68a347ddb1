"""A FAISS index out of its file: checked first, and where it is large mapped, so that processes share its memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from contracts.artefact import MAPPED_FROM_BYTES
from contracts.settings.index import IndexKind
from recommender.index.index_file import Held, check_index_bytes
from recommender.index.searchers import FAISS

_MAGIC: Final[Mapping[IndexKind, bytes]] = {
    "flat": b"IxFI",
    "by_length": b"IxFI",
    "hnsw": b"IHNf",
    "ivf_flat": b"IwFl",
    "ivf_sq8": b"IwSq",
    "ivf_pq": b"IwPf",
}


def load_searcher(path: Path, held: Held, kind: IndexKind) -> Any:
    """The index in a file, of this kind and of these vectors; raises ValueError where the bytes say otherwise.

    A large one is mapped: the file must never be changed in its place.
    """
    if path.stat().st_size < MAPPED_FROM_BYTES:
        content = path.read_bytes()
        _check_kind(content, held, kind)
        return read_searcher(content)
    _check_kind(np.memmap(path, np.uint8, "r").data, held, kind)
    try:
        return FAISS.read_index(str(path), FAISS.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ValueError(f"FAISS refuses it: {error}") from error


def read_searcher(content: bytes) -> Any:
    """The FAISS index in these bytes; raises ValueError where FAISS refuses them. Bytes of which it could make a crash
    must be kept from it by `check_index_bytes`."""
    try:
        return faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError as error:
        raise ValueError(f"FAISS refuses it: {error}") from error


def _check_kind(content: bytes | memoryview, held: Held, kind: IndexKind) -> None:
    magic = bytes(content[:4])
    if magic != _MAGIC.get(kind):
        raise ValueError(f"the index calls itself {magic!r}, expected {_MAGIC.get(kind)!r} of kind {kind}")
    check_index_bytes(content, held)
