"""The pages name files, modules, functions and parameters that are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

TOP = Path(__file__).resolve().parents[2]
ROOMS = "contracts|sources|feature_store|recommender|release|pipelines|serving|cli|dags|bench|tests|docs"
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "docs").rglob("*.svg")])
NOT_YET_WRITTEN = {"feature_store/definitions/weekend.py"}  # the reader of docs/add-a-feature.md writes it


def paths_named(page: Path) -> set[str]:
    return set(re.findall(rf"(?<![\w/.-])((?:{ROOMS})/[\w/.-]+\.\w+)", page.read_text(encoding="utf-8")))


def modules_named(page: Path) -> set[str]:
    return set(re.findall(rf"`((?:{ROOMS})\.[a-z_][\w.]*)`", page.read_text(encoding="utf-8")))


def is_module(name: str) -> bool:
    return source_of(name) is not None


def source_of(name: str) -> Path | None:
    path = TOP / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def is_parameter(name: str) -> bool:
    group, _, key = name.partition(".")
    return key in YAML(typ="safe").load(TOP / "params.yaml").get(group, {})


def is_attribute(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    source = source_of(module)
    return source is not None and re.search(rf"\b{attribute}\b", source.read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TOP).as_posix())
def test_every_file_that_a_page_names_is_there(page: Path):
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    tracked = set(subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines())
    missing = paths_named(page) - tracked - NOT_YET_WRITTEN
    assert not missing, f"{page.relative_to(TOP)} names {sorted(missing)}, which are not in the repository."


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TOP).as_posix())
def test_every_module_function_and_parameter_that_a_page_names_is_there(page: Path):
    unknown = {
        name for name in modules_named(page) if not (is_module(name) or is_attribute(name) or is_parameter(name))
    }
    assert not unknown, f"{page.relative_to(TOP)} names {sorted(unknown)}: no module, nothing in one, no parameter."
