"""The project of somebody who did what docs/own-generator.md says, word for word."""

from __future__ import annotations

import atexit
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ruamel.yaml import YAML

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "own-generator.md"
FILE = re.compile(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)
PARAMS = re.compile(r"In `params.yaml`:\n\n```yaml\n(.*?)```", re.DOTALL)


@cache
def own_project() -> Path:
    """A folder with the files that the page writes, and with the checkout's own, if it has any."""
    folder = Path(mkdtemp(prefix="own-generator-"))
    atexit.register(shutil.rmtree, folder)
    for name, code in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    for reference in _own_of_checkout():
        top = reference.partition(":")[0].partition(".")[0]
        name = top if (TOP / top).is_dir() else f"{top}.py"
        (folder / name).symlink_to(TOP / name)
    return folder


def own_references() -> tuple[str, ...]:
    """The class of the page, and those that params.yaml names: whoever has their own asks them, too."""
    return (*own_params()["candidates"]["own"], *_own_of_checkout())


def _own_of_checkout() -> tuple[str, ...]:
    params = YAML(typ="safe", pure=True).load((TOP / "params.yaml").read_text(encoding="utf-8"))
    return tuple(params["candidates"].get("own") or ())


def own_params() -> dict[str, Any]:
    """What the page writes into params.yaml."""
    (text,) = PARAMS.findall(PAGE.read_text(encoding="utf-8"))
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return params


@contextmanager
def in_own_project() -> Iterator[None]:
    """Run in that folder, as everything does that fits or loads a class of the project's own."""
    with chdir(own_project()):
        yield
