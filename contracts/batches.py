"""A stream in batches, so that what is made of it fits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches_of(values: Iterable[T], n: int) -> Iterator[list[T]]:
    """The values in their order, n at a time; the last batch may be shorter.

    >>> list(batches_of("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    remaining = iter(values)
    while batch := list(islice(remaining, n)):
        yield batch
