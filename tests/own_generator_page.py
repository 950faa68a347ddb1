"""The project of somebody who did what docs/own-generator.md says, word for word; or their checkout."""

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

from dvc.utils.serialize import loads_yaml

from contracts.settings.params_file import params_in, read_params

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "own-generator.md"
FILE = re.compile(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)
PARAMS = re.compile(r"In `params.yaml`:\n\n```yaml\n(.*?)```", re.DOTALL)


@cache
def own_project() -> Path:
    """A folder with the files that the page writes."""
    folder = Path(mkdtemp(prefix="own-generator-"))
    atexit.register(shutil.rmtree, folder)
    for name, code in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    return folder


def own_references(checkout: Path = TOP) -> tuple[str, ...]:
    """The classes that are asked: those that the checkout's params.yaml names, or that of the page where it names none.

    Never both: whoever followed the page has its class, under its name, as their own.
    """
    return _own_of(checkout) or tuple(own_params()["candidates"]["own"])


def project_of_references(checkout: Path = TOP) -> Path:
    """The folder that these classes are in."""
    return checkout if _own_of(checkout) else own_project()


def _own_of(checkout: Path) -> tuple[str, ...]:
    return tuple(read_params(checkout / "params.yaml")["candidates"].get("own") or ())


def own_params() -> dict[str, Any]:
    """What the page writes into params.yaml, as DVC reads it and as we do, which is the same."""
    (text,) = PARAMS.findall(PAGE.read_text(encoding="utf-8"))
    params: dict[str, Any] = loads_yaml(text)
    assert params_in(text.encode(), PAGE) == params
    return params


@contextmanager
def in_own_project() -> Iterator[None]:
    """Run in the folder of the classes that are asked, as all does that fits or loads one."""
    with chdir(project_of_references()):
        yield
