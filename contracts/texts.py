"""Many texts in two arrays: one of UTF-8 bytes, one of where each text begins. As files they are mapped, and shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from contracts.artefact import load_array
from contracts.fingerprint import canonical_json, fingerprint_chunks

TEXTS_AT_ONCE = 65_536  # decoded together where all are walked through
_CONTINUES, _LEADING_BITS = 0x80, 0xC0  # of a byte of UTF-8 that is not the first of its character


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """Text i is utf8[offsets[i]:offsets[i + 1]], and becomes a `str` where somebody asks for it.

    offsets: (n_texts + 1,) int64, the first one 0; utf8: (n_bytes,) uint8.

    >>> titles = Texts.of(["Heat", "Léon"])
    >>> titles[1], len(titles), titles.at([1, 0, 1])
    ('Léon', 2, ['Léon', 'Heat', 'Léon'])
    """

    offsets: npt.NDArray[np.int64]
    utf8: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """These texts, in their order."""
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        places = range(len(self))[place]
        return self.at([places])[0] if isinstance(places, int) else tuple(self.at(places))

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), TEXTS_AT_ONCE):
            yield from self._between(start, min(start + TEXTS_AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Texts):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.utf8, other.utf8)

    __hash__ = None  # type: ignore[assignment] # nobody asks for it, and it would read every byte

    def at(self, places: npt.NDArray[np.integer[Any]] | Sequence[int]) -> list[str]:
        """The texts at these places, in their order."""
        where = np.asarray(places, np.int64)
        starts = self.offsets[where]
        lengths = self.offsets[where + 1] - starts
        bounds = np.zeros(len(where) + 1, np.int64)
        np.cumsum(lengths, out=bounds[1:])
        # All bytes in one step: a slice of a mapped array for each text takes twice as long.
        positions = np.arange(bounds[-1]) + (starts - bounds[:-1]).repeat(lengths)
        return _cut(self.utf8[positions].tobytes(), bounds)

    @cached_property
    def fingerprint(self) -> str:
        """As `fingerprint_json` of the list of the texts, which is never made."""
        return fingerprint_chunks(self._json_chunks())

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays of an artefact that hold these texts under a name."""
        return {f"{name}_offsets": self.offsets, f"{name}_utf8": self.utf8}

    @classmethod
    def load(cls, folder: Path, name: str) -> Texts:
        """Those that an artefact holds under a name; raises ArtefactError or ValueError where they are no texts."""
        texts = cls(
            load_array(folder, f"{name}_offsets", np.int64, (None,)),
            load_array(folder, f"{name}_utf8", np.uint8, (None,)),
        )
        texts._check(name)
        return texts

    def _between(self, start: int, end: int) -> list[str]:
        bounds = self.offsets[start : end + 1]
        return _cut(self.utf8[bounds[0] : bounds[-1]].tobytes(), bounds - bounds[0])

    def _json_chunks(self) -> Iterator[bytes]:
        yield b"["
        for start in range(0, len(self), TEXTS_AT_ONCE):
            listed = canonical_json(self._between(start, min(start + TEXTS_AT_ONCE, len(self))))
            yield (b"," if start else b"") + listed[1:-1]
        yield b"]"

    def _check(self, name: str) -> None:
        offsets, utf8 = self.offsets, self.utf8
        if not len(offsets) or offsets[0] or offsets[-1] != len(utf8) or (offsets[1:] < offsets[:-1]).any():
            raise ValueError(f"{name} has no offsets that divide its {len(utf8)} bytes")
        starts = offsets[offsets < len(utf8)]
        if ((utf8[starts] & _LEADING_BITS) == _CONTINUES).any():
            raise ValueError(f"{name} has texts that begin within a character")
        for start in range(0, len(self), TEXTS_AT_ONCE):
            bounds = offsets[start : start + TEXTS_AT_ONCE + 1]
            str(utf8[bounds[0] : bounds[-1]].data, "utf-8")  # UnicodeDecodeError, a ValueError, where it is none


def _cut(joined: bytes, bounds: npt.NDArray[np.int64]) -> list[str]:
    if joined.isascii():  # then a character is a byte, and a piece of the decoded text is had sooner
        text = joined.decode()
        return [text[start:end] for start, end in pairwise(bounds.tolist())]
    return [joined[start:end].decode() for start, end in pairwise(bounds.tolist())]
