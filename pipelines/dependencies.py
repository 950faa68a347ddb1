"""Writes into dvc.yaml which code each stage depends on: the modules it imports, those that they import, and so on.

    python -m pipelines.dependencies    (make dependencies)

An import inside a function counts, one for type checkers alone does not. So does the program of a guest
(`Guest(module=...)`), which runs in an environment of its own. A package's `__init__` comes with every module
in the package, and so does what lies beside them and is no module, such as a table; templates do not, for they make
pages for people, and no answer stands on them. The stage `release` also reads the code of all the others, Python of the
project's own included, for it names the release after them. `publish` looks at the store whenever it is asked: its
code is no reason to run it.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from contracts.errors import WorkspaceError
from contracts.settings.params_file import read_params
from contracts.settings.params_path import PARAMS
from contracts.stage_code import GRAPH, NO_CODE, ROOMS, is_code, is_ours, own_code, own_code_of_stages
from contracts.whole_files import write_whole

STAGES: Final = "stages"
ALL_CODE: Final = "release"  # the stage that depends on the code of every stage
NOT_READ: Final = ("__pycache__", "templates")  # folders in a package of which no answer stands on a file
COMMENT: Final = "Code: `make dependencies` writes the rest of this list."
LOADS_OWN: Final = "recommender/generators/own.py"  # stages that run it run classes of the project's own
GUEST: Final = "Guest"  # recommender/generators/deep/guest.py: what names a program
INDENT: Final = 6  # columns before the dash of a dependency


def main() -> None:
    """Write the code of every stage into dvc.yaml in the working directory; everything else in it stays as it is."""
    graph = _yaml().load(GRAPH.read_text(encoding="utf-8"))
    own = own_code_of(Path(), PARAMS)
    by_hand = own_code_of_stages(graph[STAGES])
    for stage, code in code_of_stages(Path(), graph).items():
        deps = graph[STAGES][stage]["deps"]
        further = (own if LOADS_OWN in code else []) + (by_hand if stage == ALL_CODE else [])
        deps += [name for name in dict.fromkeys(further) if name not in deps]
        graph[STAGES][stage]["deps"] = _with_code(deps, code)
    text = io.BytesIO()
    _yaml().dump(graph, text)
    if text.getvalue() != GRAPH.read_bytes():
        write_whole(GRAPH, text.getvalue())


def code_of_stages(root: Path, graph: Any) -> dict[str, list[str]]:
    """The files of code, relative to `root`, that each stage of a graph depends on; without the stages in NO_CODE."""
    own = {stage: import_closure(root, f"pipelines.{stage}") for stage in graph[STAGES] if stage not in NO_CODE}
    return {stage: sorted(set().union(*own.values()) if stage == ALL_CODE else code) for stage, code in own.items()}


def own_code_of(root: Path, params: Path) -> list[str]:
    """The files of code of the project's own that `candidates.own` names in a parameter file, whole packages of it."""
    if not params.is_file():
        return []
    return own_code(root, [str(name) for name in (read_params(params).get("candidates") or {}).get("own") or []])


def import_closure(root: Path, module: str) -> set[str]:
    """The files below `root` that a module of ours is made of, its own included."""
    files: set[Path] = set()
    waiting = list(_files_of(root, module))
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            waiting += [path for name in _imported(file) for path in _files_of(root, name)]
    files |= {path for folder in {file.parent for file in files} for path in _beside(folder)}
    return {file.relative_to(root).as_posix() for file in files}


def _files_of(root: Path, module: str) -> Iterator[Path]:
    """The files that importing a name runs: the packages on the way, and the module; none where it is not ours."""
    parts = module.split(".")
    if parts[0] not in ROOMS:
        return
    for end in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:end])
        yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def _imported(file: Path) -> Iterator[str]:
    """Every name that a file imports; of `from a import b` both a and a.b, of which one is a module."""
    for node in _run(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module is None):
            raise WorkspaceError(
                f"{file}:{node.lineno} imports relative to itself: `{ast.unparse(node)}`.",
                "Write the module's whole name.",
            )
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == GUEST:
            yield from (ast.literal_eval(argument.value) for argument in node.keywords if argument.arg == "module")


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that may run: all but what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _run(other)
        else:
            yield child
            yield from _run(child)


def _beside(folder: Path) -> Iterator[Path]:
    """What lies in a package, in it or in folders that are no packages, without being Python."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in NOT_READ and not (path / "__init__.py").is_file():
            yield from _beside(path)
        elif path.is_file() and path.suffix != ".py":
            yield path


def _with_code(dependencies: CommentedSeq, code: list[str]) -> CommentedSeq:
    """The data among the dependencies, then the code under its comment; other comments stay where they were."""
    data = [name for name in dependencies if not is_ours(name) and not _is_vanished_code(name)]
    renewed = CommentedSeq([*data, *code])
    for at, name in enumerate(dependencies[:-1]):
        if name in data and (comments := dependencies.ca.items.get(at)):
            comments[0].value = "".join(line for line in comments[0].value.splitlines(True) if COMMENT not in line)
            renewed.ca.items[data.index(name)] = comments if comments[0].value.strip() else [None, None, None, None]
    renewed.yaml_set_comment_before_after_key(len(data), before=COMMENT, indent=INDENT)
    if after := dependencies.ca.items.get(len(dependencies) - 1):
        renewed.ca.items[len(renewed) - 1] = after
    return renewed


def _is_vanished_code(name: str) -> bool:
    return is_code(name) and not Path(name).is_file()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 1000
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


if __name__ == "__main__":
    main()
