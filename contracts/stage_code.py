"""Which code a stage of dvc.yaml depends on, as the file names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from contracts.errors import WorkspaceError

GRAPH: Final = Path("dvc.yaml")
NO_CODE: Final = ("publish",)  # stages whose code is no reason to run them
FOR_PEOPLE: Final = ("desc", "meta")  # of a stage: nothing is built otherwise for them
ROOMS: Final = ("contracts", "sources", "feature_store", "recommender", "release", "pipelines")


def is_ours(dependency: str) -> bool:
    """Whether a file, relative to the checkout, lies in one of our rooms."""
    return dependency.split("/", maxsplit=1)[0] in ROOMS


def is_code(dependency: str) -> bool:
    """Whether a dependency of a stage is code: ours, or Python of the project's own; the others are data."""
    return is_ours(dependency) or dependency.endswith(".py")


def own_code(root: Path, references: Sequence[str]) -> list[str]:
    """The files, relative to root, of classes that `candidates.own` names as package.module:Class: whole packages."""
    tops = {reference.partition(":")[0].partition(".")[0] for reference in references}
    return sorted(file for top in tops for file in code_files(root, top))


def code_files(root: Path, top: str) -> list[str]:
    """The Python files, relative to root, of a package or module there; none where there is none."""
    if (root / f"{top}.py").is_file():
        return [f"{top}.py"]
    return sorted(path.relative_to(root).as_posix() for path in (root / top).rglob("*.py"))


def dependencies_of_stage(graph: str, stage: str) -> list[str]:
    """All that a stage depends on, data and code, as the graph's YAML text says; raises as `code_of_stage`."""
    try:
        return [str(name) for name in _content(graph)["stages"][stage]["deps"]]
    except (YAMLError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{GRAPH} does not say what stage `{stage}` depends on: {error!r}.", f"Mend it: `git diff {GRAPH}`."
        ) from error


def code_of_stage(graph: str, stage: str) -> list[str]:
    """The files (in graphs of before, the folders too) of code that a stage depends on, in order; graph: the YAML text.

    Raises WorkspaceError where the text is no graph with this stage.
    """
    return sorted(name for name in dependencies_of_stage(graph, stage) if is_code(name))


def own_code_of_stages(stages: Mapping[str, Any]) -> list[str]:
    """Python files of the project's own that any stage depends on, in order; stages: those of a graph, by name."""
    named = {str(name) for stage, said in stages.items() if stage not in NO_CODE for name in said.get("deps") or ()}
    return sorted(name for name in named if is_code(name) and not is_ours(name))


def what_is_run(graph: str) -> dict[str, Any]:
    """What the graph's YAML text says of how data is made: all of its stages but what only people read.

    Raises WorkspaceError where the text is no graph.
    """
    try:
        content = _content(graph)
        stages = {
            name: {key: value for key, value in stage.items() if key not in FOR_PEOPLE}
            for name, stage in content["stages"].items()
        }
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceError(f"{GRAPH} has no stages: {error!r}.", f"Mend it: `git diff {GRAPH}`.") from error
    return {"stages": stages, "vars": content.get("vars")}


def _content(graph: str) -> Any:
    return YAML(typ="safe").load(graph)
