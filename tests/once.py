"""What is dear to build is built once per run of the tests, and shared by all worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder of that name, after `build` filled it in whichever process came first; nobody may change it.

    One that could not be built is tried again by the next process, in a folder of its own.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    done = shared / f"once-{name}.folder"
    with FileLock(shared / f"once-{name}.lock"):
        if not done.exists():
            folder = shared / f"once-{name}-{os.getpid()}"
            folder.mkdir()
            build(folder)
            done.write_text(str(folder))
        return Path(done.read_text())
