"""Loops as machine code, for what one request would else do in hundreds of small calls of NumPy.

A compiled function says which arrays it takes, and is compiled for these alone, when its module is imported; another
type of array is a TypeError. The machine code is kept in the Python environment, by the content of the module and of
this one, so that every checkout finds it; where that cannot be written, in `__pycache__` beside the module; and where
neither can, nowhere. Sums are taken in the order of the loop: nothing is reordered or fused, so that equal input gives
equal bits on every machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.core.caching import InTreeCacheLocator

config: Any = numba.config  # knows its own fields at run time alone

KEPT = Path(sys.prefix) / "cache" / "slatework-compiled"
MOST_KEPT = 50  # folders, of some 100 KiB

Function = TypeVar("Function", bound=Callable[..., Any])


def _read(dtype: Any, n_dimensions: int = 1) -> Any:
    """The type of an array that is read, also where it is mapped from a file."""
    return types.Array(dtype, n_dimensions, "C", readonly=True)


# Arrays that are read: INDICES of items, COUNTS (rows and offsets too), SCORES and their BITS, SUMS in 64 bits, BYTES.
BYTES: Final = _read(types.uint8)
INDICES: Final = _read(types.int32)
COUNTS: Final = _read(types.int64)
SCORES: Final = _read(types.float32)
BITS: Final = _read(types.uint32)
SUMS: Final = _read(types.float64)
TABLE: Final = _read(types.int64, 2)
SUMS_TABLE: Final = _read(types.float64, 2)
VECTORS: Final = _read(types.float32, 2)
NUMBER: Final = types.int64
FLAG: Final = types.boolean


def compiled(*arguments: Any) -> Callable[[Function], Function]:
    """Compile a function of these types of arguments; whoever else waits for the interpreter goes on meanwhile."""

    def compile_(function: Function) -> Function:
        try:
            return _compiled(function, arguments, cache=True)
        except (RuntimeError, OSError) as error:  # no folder for the cache, or none with space in it
            warnings.warn(f"{function.__name__} is compiled at every start: {error}", stacklevel=2)
            return _compiled(function, arguments, cache=False)

    return compile_


def inlined(function: Function) -> Function:
    """A function that compiled ones call, for arrays of any type."""
    return cast("Function", numba.njit(nogil=True, error_model="numpy")(function))


class KeptByContent(InTreeCacheLocator):
    """Where Numba keeps the machine code of a function: a folder for each content of its module, and of this one."""

    def __init__(self, function: Any, file: str) -> None:
        super().__init__(function, file)  # type: ignore[no-untyped-call]
        content = Path(file).read_bytes() + Path(__file__).read_bytes()
        self._content = hashlib.sha256(content).hexdigest()[:16]
        if _is_made(folder := KEPT / self._content):
            self._cache_path = str(folder)

    def get_source_stamp(self) -> str:
        return self._content


def _is_made(folder: Path) -> bool:
    """Whether the folder is there now, and can be written; for a new one, the oldest of many go."""
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            kept = sorted(folder.parent.iterdir(), key=lambda other: other.stat().st_mtime)
            for old in kept[:-MOST_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _compiled(function: Function, arguments: tuple[Any, ...], *, cache: bool) -> Function:
    usual, config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES, f"{__name__}.{KeptByContent.__name__}"
    try:
        return cast("Function", numba.njit([arguments], nogil=True, error_model="numpy", cache=cache)(function))
    finally:
        config.CACHE_LOCATOR_CLASSES = usual


@inlined
def sink(heap: Any, place: int, n: int) -> None:  # pragma: no cover - compiled
    """Let the number at `place` sink among the first n until none below it is larger."""
    number = heap[place]
    below = 2 * place + 1
    while below < n:
        if below + 1 < n and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= number:
            break
        heap[place] = heap[below]
        place, below = below, 2 * below + 1
    heap[place] = number


@inlined
def kept(heap: Any, n: int, most: int, number: Any) -> int:  # pragma: no cover - compiled
    """How many numbers are kept, at most so many, after one more came: the smallest, with the largest on top."""
    if n == most:
        if number < heap[0]:
            heap[0] = number
            sink(heap, 0, n)
        return n
    heap[n] = number
    if n + 1 == most:
        for place in range(most // 2 - 1, -1, -1):
            sink(heap, place, most)
    return n + 1


@inlined
def with_room(numbers: Any, n: int, more: int) -> Any:  # pragma: no cover - compiled
    """The first n numbers, where there is room for more of them, or a larger array that begins with them."""
    if n + more <= len(numbers):
        return numbers
    larger = np.empty(2 * (n + more), numbers.dtype)
    for at in range(n):
        larger[at] = numbers[at]
    return larger


@inlined
def sort(numbers: Any, n: int) -> None:  # pragma: no cover - compiled
    """Sort the first n numbers, ascending; NumPy's own sort takes seconds to compile."""
    for place in range(n // 2 - 1, -1, -1):
        sink(numbers, place, n)
    for last in range(n - 1, 0, -1):
        numbers[0], numbers[last] = numbers[last], numbers[0]
        sink(numbers, 0, last)


@inlined
def first_not_below(numbers: Any, start: int, end: int, bound: Any) -> int:  # pragma: no cover - compiled
    """The first place from `start` on, of numbers that ascend, that does not hold less than `bound`; `end` if none."""
    while start < end:
        middle = (start + end) // 2
        if numbers[middle] < bound:
            start = middle + 1
        else:
            end = middle
    return start


@inlined
def is_in(number: Any, among: Any) -> bool:  # pragma: no cover - compiled
    """Whether a number is among others, which ascend."""
    at = first_not_below(among, 0, len(among), number)
    return at < len(among) and among[at] == number
