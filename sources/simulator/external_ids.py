"""External ids: strings that hide the number behind them, made and read by arithmetic, without a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

USER: Final = "u"
ITEM: Final = "i"
SESSION: Final = "s"
REQUEST: Final = "r"

_BITS: Final = 40
_MASK: Final = np.uint64(2**_BITS - 1)
_ODD: Final = 0x9E3779B97F  # any odd number has an inverse modulo a power of two
_INVERSE: Final = pow(_ODD, -1, 2**_BITS)
_HALF: Final = np.uint64(_BITS // 2)
_HEX: Final = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)

Numbers = npt.NDArray[np.int64]


def ids_of(prefix: str, numbers: npt.NDArray[np.integer]) -> pl.Series:
    """The ids of people or items with these numbers (under 2**40): prefix and ten hexadecimal digits."""
    mixed = _mixed(numbers.astype(np.uint64) + np.uint64(1))
    return _hexadecimal_ids(prefix, mixed, _BITS // 8)


def numbers_of(prefix: str, ids: Iterable[str]) -> Numbers:
    """The numbers behind ids of `ids_of`; -1 for any other text."""
    values = [_value(prefix, one) for one in ids]
    mixed = np.array(values, np.int64)
    numbers = _unmixed(np.maximum(mixed, 0).astype(np.uint64)).astype(np.int64) - 1
    return np.where(mixed >= 0, numbers, -1)


def visit_ids(person: npt.NDArray[np.integer], day: npt.NDArray[np.integer] | int) -> pl.Series:
    """The session ids of these people (by number) on these days."""
    return _hexadecimal_ids(SESSION, _hashed(_packed(person, day, np.zeros(1, np.int64))), 8)


def request_ids(
    person: npt.NDArray[np.integer], day: npt.NDArray[np.integer] | int, page: npt.NDArray[np.integer]
) -> pl.Series:
    """The request ids of these people's pages, counted from 0, on these days."""
    return _hexadecimal_ids(REQUEST, _hashed(_packed(person, day, page)), 8)


def _value(prefix: str, text: str) -> int:
    digits = text[len(prefix) :]
    if text[: len(prefix)] != prefix or len(digits) != _BITS // 4 or digits.strip("0123456789abcdef"):
        return -1
    return int(digits, 16)


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = (numbers * np.uint64(_ODD)) & _MASK
    mixed ^= mixed >> _HALF
    return np.asarray((mixed * np.uint64(_ODD)) & _MASK, np.uint64)


def _unmixed(mixed: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    numbers = (mixed * np.uint64(_INVERSE)) & _MASK
    numbers ^= numbers >> _HALF  # the fold undoes itself
    return np.asarray((numbers * np.uint64(_INVERSE)) & _MASK, np.uint64)


def _packed(
    person: npt.NDArray[np.integer], day: npt.NDArray[np.integer] | int, page: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint64]:
    """Person (under 2**40), day (under 2**12) and page (under 2**12) in one number."""
    days = np.asarray(day, np.uint64) << np.uint64(12)
    return np.asarray((person.astype(np.uint64) << np.uint64(24)) | days | page.astype(np.uint64), np.uint64)


def _hashed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A bijection of 64 bits: no two visits share an id. Source: the finalizer of SplitMix64, Steele et al. 2014."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def _hexadecimal_ids(prefix: str, values: npt.NDArray[np.uint64], n_bytes: int) -> pl.Series:
    """Prefix and the lowest bytes in hexadecimal, without a Python string in between."""
    width = len(prefix) + 2 * n_bytes
    letters = np.empty((len(values), width), np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
    digits = _HEX[values.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - n_bytes :]]
    letters[:, len(prefix) :] = digits.reshape(len(values), 2 * n_bytes)
    offsets = np.arange(0, width * (len(values) + 1), width, dtype=np.int64)
    strings = pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(letters))
    return pl.Series(strings)
