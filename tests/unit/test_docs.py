"""The pages name files, modules, functions and parameters that are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.names_of_modules import TOP, members_in, names_in, source_of

ROOMS = "contracts|sources|feature_store|recommender|release|pipelines|serving|cli|dags|bench|tests|docs"
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "docs").rglob("*.svg")])
NOT_YET_WRITTEN = {"feature_store/definitions/weekend.py"}  # the reader of docs/add-a-feature.md writes it


def paths_named(page: Path) -> set[str]:
    return set(re.findall(rf"(?<![\w/.-])((?:{ROOMS})/[\w/.-]+\.\w+)", page.read_text(encoding="utf-8")))


def modules_named(page: Path) -> set[str]:
    return set(re.findall(rf"`((?:{ROOMS})\.[a-z_][\w.]*)`", page.read_text(encoding="utf-8")))


def is_module(name: str) -> bool:
    return source_of(name) is not None


def is_parameter(name: str) -> bool:
    group, _, key = name.partition(".")
    return key in YAML(typ="safe").load(TOP / "params.yaml").get(group, {})


def is_attribute(name: str) -> bool:
    """Whether it is a name of a module's top level, or of a class there."""
    owner, _, attribute = name.rpartition(".")
    if source := source_of(owner):
        return attribute in names_in(source)
    module, _, kind = owner.rpartition(".")
    source = source_of(module)
    return source is not None and attribute in members_in(source, kind)


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


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("release.promotion.switch.Switch", True),
        ("release.promotion.switch.Switch.move", True),
        ("release.promotion.switch.move", False),  # a method is no function of the module
        ("release.promotion.switch.polars", False),  # a word of a comment
        ("release.promotion.switch.Switch.nothing", False),
    ],
)
def test_a_word_in_a_source_is_no_name_of_its_module(name: str, is_there: bool):
    assert is_attribute(name) == is_there


def test_what_the_picture_of_the_architecture_names_is_walked_through_beside_it():
    picture, page = TOP / "docs/images/architecture.svg", TOP / "docs/architecture.md"
    assert paths_named(picture)
    assert paths_named(picture) <= paths_named(page)
