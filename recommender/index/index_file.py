"""The bytes of a FAISS index, checked before FAISS reads them.

FAISS trusts sizes and links: a forged file makes it allocate gigabytes or read what is not there. So every size here is
compared with the bytes that are left, and every link with the nodes there are. Little-endian:

    flat    "IxFI"; i32 dim, i64 n_vectors, i64 and i64 2^20, u8 1 (trained), i32 0 (inner product);
            u64 n_vectors * dim, and so many f32: the vectors
    HNSW    "IHNf" and the same 33 bytes; then, each with its u64 length before it: f64 level probabilities, i32 slots
            before each level, i32 levels per node, u64 first slot per node (and one more), i32 the node in each slot
            (-1 is none); i32 entry point, highest level, two efforts and 1; then a flat index as above
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<4siqqq?i")
_UNUSED = 1 << 20
_INNER_PRODUCT = 0
_FLAT, _HNSW = b"IxFI", b"IHNf"
_MAX_LEVELS = 64  # FAISS gives each level a hundredth of the nodes below it, or fewer


def check_index_bytes(content: bytes, n_vectors: int, dim: int) -> None:
    """Raises ValueError unless these bytes are a flat or HNSW index of so many vectors that FAISS can read safely."""
    rest = _Reader(content)
    if content[:4] == _HNSW:
        rest.header(_HNSW, n_vectors, dim)
        _check_graph(rest, n_vectors)
    rest.header(_FLAT, n_vectors, dim)
    n_numbers = len(rest.array("<f4"))
    if n_numbers != n_vectors * dim or rest.n_left:
        raise ValueError(f"{n_numbers} numbers and {rest.n_left} bytes more, expected {n_vectors} x {dim} and none")


class _Reader:
    """Takes parts off the front of some bytes; raises ValueError where they are too few."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def n_left(self) -> int:
        return len(self._content) - self._at

    def header(self, magic: bytes, n_vectors: int, dim: int) -> None:
        expected = (magic, dim, n_vectors, _UNUSED, _UNUSED, True, _INNER_PRODUCT)
        header = _HEADER.unpack(self._take(_HEADER.size))
        if header != expected:
            raise ValueError(f"the index calls itself {header}, expected {expected}")

    def array(self, dtype: str) -> npt.NDArray[Any]:
        (length,) = struct.unpack("<Q", self._take(8))
        return np.frombuffer(self._take(length * np.dtype(dtype).itemsize), dtype)

    def integers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self._take(4 * count))

    def _take(self, n_bytes: int) -> bytes:
        if n_bytes > self.n_left:
            raise ValueError(f"the index promises {n_bytes} bytes at {self._at}, where {self.n_left} are left")
        taken = self._content[self._at : self._at + n_bytes]
        self._at += n_bytes
        return taken


def _check_graph(rest: _Reader, n_nodes: int) -> None:
    rest.array("<f8")  # how new nodes would get a level; none are added
    level_starts, levels = rest.array("<i4").astype(np.int64), rest.array("<i4").astype(np.int64)
    starts, links = rest.array("<u8").astype(np.int64), rest.array("<i4")
    entry, highest, *_, beam = rest.integers(5)
    if not 2 <= len(level_starts) <= _MAX_LEVELS or level_starts[0] != 0 or (np.diff(level_starts) <= 0).any():
        raise ValueError(f"the slots before each level are {level_starts.tolist()[:_MAX_LEVELS]}")
    if len(levels) != n_nodes or not _within(levels, 1, len(level_starts) - 1):
        raise ValueError(f"{len(levels)} nodes have levels, not all from 1 to {len(level_starts) - 1}, of {n_nodes}")
    if not np.array_equal(starts, np.concatenate([[0], np.cumsum(level_starts[levels])])) or starts[-1] != len(links):
        raise ValueError(f"the slots of the nodes do not follow from their levels, or are not the {len(links)} there")
    if highest != levels.max(initial=0) - 1 or beam != 1 or not _is_entry(entry, levels):
        raise ValueError(f"the search starts at node {entry} on level {highest}, which is not the top")
    if not _within(links, -1, n_nodes - 1):
        raise ValueError(f"a link leads outside the {n_nodes} nodes")
    _check_upper_links(level_starts, levels, starts, links)


def _is_entry(entry: int, levels: npt.NDArray[np.int64]) -> bool:
    """Whether it is a node of the highest level, or none where there are no nodes."""
    return entry == -1 if not len(levels) else 0 <= entry < len(levels) and levels[entry] == levels.max()


def _check_upper_links(
    level_starts: npt.NDArray[np.int64],
    levels: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    links: npt.NDArray[np.integer[Any]],
) -> None:
    """Refuse a link above the ground to a node that does not reach so high: it has no slots there."""
    for level in range(1, int(levels.max(initial=0))):
        first = starts[:-1][levels > level] + level_starts[level]
        slots = first[:, None] + np.arange(level_starts[level + 1] - level_starts[level])
        linked = links[slots].astype(np.int64)
        if (levels[linked[linked >= 0]] <= level).any():
            raise ValueError(f"a link on level {level} leads to a node that does not reach it")


def _within(values: npt.NDArray[np.integer[Any]], low: int, high: int) -> bool:
    return not len(values) or bool((values >= low).all() and (values <= high).all())
