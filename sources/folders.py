"""Folders that are whole or not there: written beside their place, and moved into it when finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end it takes the place of `target`.

    Whatever goes wrong meanwhile (an error, Ctrl-C, a full disk), `target` stays as it was and the unfinished folder
    is removed. One left over by a kill is removed by the next call.
    """
    unfinished = target.with_name(target.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
