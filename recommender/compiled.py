"""Loops as machine code, for what one request would else do in hundreds of small calls of NumPy.

A compiled function says which arrays it takes, and is compiled for these alone, when its module is imported; another
type of array is a TypeError. The machine code is kept in `__pycache__` beside the module, or in the user's cache where
that cannot be written, or not at all where neither can. Sums are taken in the order of the loop: nothing is reordered
or fused, so that equal input gives equal bits on every machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
from numba import types

Function = TypeVar("Function", bound=Callable[..., Any])


def _read(dtype: Any, n_dimensions: int = 1) -> Any:
    """The type of an array that is read, also where it is mapped from a file."""
    return types.Array(dtype, n_dimensions, "C", readonly=True)


# Arrays that are read: INDICES of items, COUNTS (rows and offsets too), SCORES, SUMS in double precision.
INDICES: Final = _read(types.int32)
COUNTS: Final = _read(types.int64)
SCORES: Final = _read(types.float32)
SUMS: Final = _read(types.float64)
TABLE: Final = _read(types.int64, 2)
SUMS_TABLE: Final = _read(types.float64, 2)
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


def _compiled(function: Function, arguments: tuple[Any, ...], *, cache: bool) -> Function:
    return cast("Function", numba.njit([arguments], nogil=True, error_model="numpy", cache=cache)(function))
