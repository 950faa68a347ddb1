"""The bytes of a FAISS index, checked before FAISS reads them.

FAISS trusts sizes and links: a forged file makes it allocate gigabytes or read what is not there. So every size here is
compared with the bytes that are left, and every link with the nodes there are. Little-endian:

    flat    "IxFI" by inner product, "IxF2" by distance; i32 dim, i64 n_vectors, i64 and i64 2^20, u8 1 (trained),
            i32 0 (inner product) or 1 (distance);
            u64 n_vectors * dim, and so many f32: the vectors
    HNSW    "IHNf" and the same 33 bytes; then, each with its u64 length before it: f64 level probabilities, i32 slots
            before each level, i32 levels per node, u64 first slot per node (and one more), i32 the node in each slot
            (-1 is none); i32 entry point, highest level, two efforts and 1; then a flat index as above
    IVF     "IwFl", "IwSq" or "IwPf" and the same 33 bytes; u64 lists, u64 probes; a flat index of the lists' centres;
            u8 0 and u64 0 (no map from vectors to lists); then how vectors are written:
              SQ8   i32 0 (a byte a number), i32, f32, u64 dim, u64 dim; u64 2 dim and so many f32: least and range of
                    each number; u64 dim (bytes a vector), u8 0 (vectors, not their differences from the centre)
              PQ    u8 0, u64 bytes a vector, i32 32 (vectors a block), u64 parts (made even), i32 0 and
                    u64 0 (FAISS's choice of loops); u64 dim, u64 parts, u64 4 (bits a part); u64 16 dim and so many
                    f32: the parts' centres
            and the lists. Of flat and SQ8: "ilar", u64 lists, u64 bytes a vector, "full" and the u64 length of each, or
            "sprs" and pairs of a list and its length; then of each list the vectors and i64 each one's number.
            Of PQ: "ilbl", u64 lists, u64 2^64 - 1, u64 32, u64 bytes a block; then of each list the numbers and the
            blocks, each with a u64 length before it
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER = struct.Struct("<4siqqq?i")
_UNUSED = 1 << 20
_FLAT, _FLAT_BY_DISTANCE, _HNSW = b"IxFI", b"IxF2", b"IHNf"
_IVF_FLAT, _IVF_SQ, _IVF_PQ = b"IwFl", b"IwSq", b"IwPf"
_IN_A_BLOCK = 32
_BITS = 4  # of a part of a vector
_CENTRES = 2**_BITS
_UNSAID = 2**64 - 1
_MAX_LEVELS = 64  # FAISS gives each level a hundredth of the nodes below it, or fewer


@dataclass(frozen=True)
class Held:
    """What an index says that it holds: so many vectors of so many numbers, and whether it goes by their distance."""

    n_vectors: int
    dim: int
    by_distance: bool = False


def check_index_bytes(content: bytes | memoryview, held: Held) -> None:
    """Raises ValueError unless these bytes are an index of these vectors that FAISS can read safely."""
    rest = _Reader(content)
    magic = bytes(content[:4])
    if magic in (_IVF_FLAT, _IVF_SQ, _IVF_PQ):
        rest.header(magic, held)
        _check_ivf(rest, magic, held)
    else:
        if magic == _HNSW:
            rest.header(_HNSW, held)
            _check_graph(rest, held.n_vectors)
        _check_flat(rest, held)
    if rest.n_left:
        raise ValueError(f"{rest.n_left} bytes more than an index of {held} has")


def _check_flat(rest: _Reader, held: Held) -> None:
    rest.header(_FLAT_BY_DISTANCE if held.by_distance else _FLAT, held)
    n_numbers = len(rest.array("<f4"))
    if n_numbers != held.n_vectors * held.dim:
        raise ValueError(f"{n_numbers} numbers, expected those of {held}")


def _check_ivf(rest: _Reader, magic: bytes, held: Held) -> None:
    n_vectors, dim = held.n_vectors, held.dim
    n_lists, _ = rest.unpacked("<QQ")
    if not 1 <= n_lists <= n_vectors:
        raise ValueError(f"{n_lists} lists of {n_vectors} vectors")
    _check_flat(rest, replace(held, n_vectors=n_lists))
    _expect("the map of vectors", rest.unpacked("<BQ"), (0, 0))
    if magic == _IVF_PQ:
        _check_blocks(rest, n_vectors, n_lists, _check_product_quantizer(rest, dim))
        return
    code_size = 4 * dim
    if magic == _IVF_SQ:
        quantizer = rest.unpacked("<iifQQ")
        _expect("the quantizer", (quantizer[0], *quantizer[3:]), (0, dim, dim))
        _expect("the numbers' ranges", len(rest.array("<f4")), 2 * dim)
        code_size, is_difference = rest.unpacked("<QB")
        _expect("the bytes of a vector", code_size, dim)
        _expect("whether differences are written", is_difference, 0)
    _check_lists(rest, n_vectors, n_lists, code_size)


def _check_product_quantizer(rest: _Reader, dim: int) -> int:
    """How many bytes a vector has."""
    is_difference, code_size, in_a_block, n_padded, way, together = rest.unpacked("<BQiQiQ")
    own_dim, n_parts, n_bits = rest.unpacked("<QQQ")
    if not 1 <= n_parts <= dim or dim % n_parts:
        raise ValueError(f"{n_parts} parts of {dim} numbers")
    found = (is_difference, code_size, in_a_block, n_padded, way, together, own_dim, n_bits)
    padded = n_parts + n_parts % 2
    _expect("the quantizer", found, (0, (n_parts + 1) // 2, _IN_A_BLOCK, padded, 0, 0, dim, _BITS))
    _expect("the parts' centres", len(rest.array("<f4")), _CENTRES * dim)
    return int(padded // 2)


def _check_lists(rest: _Reader, n_vectors: int, n_lists: int, code_size: int) -> None:
    _expect("the lists", rest.unpacked("<4sQQ"), (b"ilar", n_lists, code_size))
    (written,) = rest.unpacked("<4s")
    given = rest.array("<u8").astype(np.int64)
    lengths = given
    if written == b"sprs":
        pairs = given.reshape(-1, 2)
        if not _within(pairs[:, 0], 0, n_lists - 1) or len(np.unique(pairs[:, 0])) != len(pairs):
            raise ValueError("a length is of no list, or of one twice")
        lengths = np.zeros(n_lists, np.int64)
        lengths[pairs[:, 0]] = pairs[:, 1]
    elif written != b"full":
        raise ValueError(f"the lengths are written as {written!r}")
    if len(lengths) != n_lists or not _within(lengths, 0, n_vectors) or lengths.sum() != n_vectors:
        raise ValueError(f"{len(lengths)} lists hold {lengths.sum()} vectors, expected {n_lists} and {n_vectors}")
    numbers = [np.empty(0, np.int64)]
    for length in lengths.tolist():
        rest.skip(length * code_size)
        numbers.append(rest.plain("<i8", length))
    _check_numbers(numbers, n_vectors)


def _check_blocks(rest: _Reader, n_vectors: int, n_lists: int, code_size: int) -> None:
    block_size = code_size * _IN_A_BLOCK
    _expect("the lists", rest.unpacked("<4sQQQQ"), (b"ilbl", n_lists, _UNSAID, _IN_A_BLOCK, block_size))
    numbers = [np.empty(0, np.int64)]
    for _ in range(n_lists):
        numbers.append(rest.array("<i8"))
        n_blocks = -(-len(numbers[-1]) // _IN_A_BLOCK)
        _expect("the bytes of a list", len(rest.array("u1")), n_blocks * block_size)
    _check_numbers(numbers, n_vectors)


def _check_numbers(numbers: list[npt.NDArray[np.int64]], n_vectors: int) -> None:
    """Refuse lists that do not hold every vector once."""
    if not np.array_equal(np.sort(np.concatenate(numbers)), np.arange(n_vectors)):
        raise ValueError(f"the lists do not hold each of the {n_vectors} vectors once")


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{what}: {found}, expected {expected}")


class _Reader:
    """Takes parts off the front of some bytes; raises ValueError where they are too few."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = content
        self._at = 0

    @property
    def n_left(self) -> int:
        return len(self._content) - self._at

    def header(self, magic: bytes, held: Held) -> None:
        expected = (magic, held.dim, held.n_vectors, _UNUSED, _UNUSED, True, int(held.by_distance))
        header = _HEADER.unpack(self._take(_HEADER.size))
        if header != expected:
            raise ValueError(f"the index calls itself {header}, expected {expected}")

    def array(self, dtype: str) -> npt.NDArray[Any]:
        (length,) = struct.unpack("<Q", self._take(8))
        return self.plain(dtype, length)

    def plain(self, dtype: str, length: int) -> npt.NDArray[Any]:
        """So many numbers, with no length before them."""
        return np.frombuffer(self._take(length * np.dtype(dtype).itemsize), dtype)

    def unpacked(self, fields: str) -> tuple[Any, ...]:
        return struct.unpack(fields, self._take(struct.calcsize(fields)))

    def integers(self, count: int) -> tuple[int, ...]:
        return self.unpacked(f"<{count}i")

    def skip(self, n_bytes: int) -> None:
        self._take(n_bytes)

    def _take(self, n_bytes: int) -> bytes | memoryview:
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
