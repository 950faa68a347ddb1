"""What is imported of ours is there: mypy reads the rooms alone, and some commands of tests and bench run by hand."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
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


def source_of(module: str) -> Path | None:
    path = TOP / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def names_in(source: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
    return frozenset(names)


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
