"""What is imported of ours is there: mypy reads the rooms alone, and some commands of tests and bench run by hand."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.names_of_modules import TOP, members_in, names_in, source_of

OURS = {
    "contracts",
    "sources",
    "feature_store",
    "recommender",
    "release",
    "pipelines",
    "serving",
    "cli",
    "tests",
    "bench",
}


def missing_imports(file: Path) -> list[str]:
    missing = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.module.split(".")[0] not in OURS:
            continue
        source = source_of(node.module)
        known = names_in(source) if source else frozenset()
        missing += [
            f"{file.relative_to(TOP)}:{node.lineno} imports {alias.name} from {node.module}"
            for alias in node.names
            if source is None or not (alias.name in known or source_of(f"{node.module}.{alias.name}"))
        ]
    return missing


def test_every_name_of_ours_that_is_imported_is_there():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=TOP, capture_output=True, text=True, check=True
    )
    files = [TOP / name for name in listed.stdout.splitlines() if (TOP / name).is_file()]
    assert [problem for file in files for problem in missing_imports(file)] == []


def test_every_module_of_ours_that_is_run_by_name_is_there():
    run = re.compile(rf"-m[\s\",]+((?:{'|'.join(sorted(OURS))})\.\w[\w.]*)")
    places = ["*.py", "*.md", "*.yaml", "*.yml", "Makefile", "docker", "dags", ":!tests", ":!CHANGELOG.md"]
    listed = subprocess.run(["git", "ls-files", *places], cwd=TOP, capture_output=True, text=True, check=True)
    named = {
        (name, module)
        for name in listed.stdout.splitlines()
        if (TOP / name).is_file()
        for module in run.findall((TOP / name).read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert [f"{name} runs {module}" for name, module in sorted(named) if source_of(module.rstrip(".")) is None] == []


SOURCE = """
import os.path
from a import b as c
if True:
    under_if = 1
    def made_under_if(argument):
        inner = argument
else:
    under_else: int = 2
try:
    import under_try
except ImportError:
    under_except = None
finally:
    first, (second, *rest) = 1, (2, 3)
for item in ():
    under_for = [hidden for hidden in ()]
with open("x") as file:
    pass
class Kind:
    field: int
    def method(self):
        self.attribute = local = 1
    class Inner:
        deeper = 1
"""


def test_a_module_has_the_names_of_its_top_level_and_no_deeper_ones(tmp_path: Path):
    (tmp_path / "source.py").write_text(SOURCE)
    assert names_in(tmp_path / "source.py") == {
        *("os", "c", "under_if", "made_under_if", "under_else", "under_try", "under_except"),
        *("first", "second", "rest", "item", "under_for", "file", "Kind"),
    }
    assert members_in(tmp_path / "source.py", "Kind") == {"field", "method", "attribute", "Inner"}
    assert members_in(tmp_path / "source.py", "Inner") == set()


def test_an_import_of_a_name_that_only_a_function_has_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "user.py").write_text("from tests.once import built_once, folder\n")
    monkeypatch.setattr("tests.unit.test_imports.TOP", tmp_path)
    assert missing_imports(tmp_path / "user.py") == ["user.py:1 imports folder from tests.once"]
