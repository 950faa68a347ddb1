"""What the disk refused, with the name of the file that was written: libraries tell the reason alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

_NUMBER = re.compile(r"\(os error (\d+)\)")  # as Rust words it


@contextmanager
def disk_errors_of(path: Path) -> Iterator[None]:
    """Raise what Polars meets while it writes the file as the OSError that it is, with the file's name."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
