"""dvc.yaml, the stage modules and params.yaml say the same."""

import ast
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from contracts.settings.group import Group
from contracts.settings.identity_params import ReleasedSettings
from contracts.settings.settings import Settings

TOP = Path(__file__).resolve().parents[3]
ROOMS = ("contracts", "sources", "feature_store", "recommender", "release", "pipelines", "serving", "cli")
GRAPH = YAML(typ="safe", pure=True).load((TOP / "dvc.yaml").read_text())["stages"]


def parameters_read(module: Path) -> set[str]:
    """What a module reads of `settings`, as params.yaml spells it: `features.engine`, or `features` where the whole
    group is handed on."""
    attributes = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    whole = [ast.unparse(node).split(".") for node in attributes if id(node) not in inner]
    read = [[name.rstrip("_") for name in parts[1:3]] for parts in whole if parts[0] == "settings"]
    return {".".join(parts) for parts in read if parts[0] in names(Settings)}


def covers(declared: str, read: str) -> bool:
    return f"{read}.".startswith(f"{declared}.")


def names(kind: type[BaseModel]) -> set[str]:
    return {info.alias or key for key, info in kind.model_fields.items()}


def loaded_by(stage: str) -> type[Group]:
    """The groups that a stage's `run` is handed."""
    return get_type_hints(import_module(f"pipelines.{stage}").run)["settings"]


def given_to_the_runner(source: str) -> str:
    """The name of the groups that the last line of a stage's module lets `run_stage` load."""
    runner = ast.parse(source).body[-1].body[-1].value
    assert runner.func.id in {"run_stage", "run_matrix_stage"}
    return runner.args[1].id


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_is_handed_the_groups_that_it_says(stage):
    module = import_module(f"pipelines.{stage}")
    name = given_to_the_runner((TOP / "pipelines" / f"{stage}.py").read_text(encoding="utf-8"))
    assert getattr(module, name) is loaded_by(stage)


def leaf_parameters(group: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Every parameter's dotted name, and the attribute it is read by."""
    leaves = {}
    for key, info in group.model_fields.items():
        dotted = prefix + (info.alias or key)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            leaves |= leaf_parameters(info.annotation, dotted + ".")
        else:
            leaves[dotted] = key
    return leaves


@pytest.mark.parametrize("stage", GRAPH)
def test_every_stage_runs_the_module_named_like_it(stage):
    command = GRAPH[stage]["cmd"].split()
    assert command[:3] == ["python", "-m", f"pipelines.{stage}"]
    assert (TOP / "pipelines" / f"{stage}.py").is_file()


@pytest.mark.parametrize("stage", GRAPH)
def test_every_stage_says_in_a_sentence_what_it_does(stage):
    assert len(GRAPH[stage]["desc"].split()) > 4


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_declares_the_parameters_it_reads_and_no_others(stage):
    declared = GRAPH[stage]["params"]
    # The release stage hands all settings on; what is read of them is what a release's identity is made of.
    read = names(ReleasedSettings) if stage == "release" else parameters_read(TOP / "pipelines" / f"{stage}.py")
    assert [name for name in read if not any(covers(key, name) for key in declared)] == [], f"{stage}: not declared"
    assert [key for key in declared if not any(covers(key, name) for name in read)] == [], f"{stage}: not read"


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_loads_the_parameter_groups_it_declares_and_publish_loads_all(stage):
    declared = {key.split(".")[0] for key in GRAPH[stage]["params"]}
    assert names(loaded_by(stage)) == (names(Settings) if stage == "publish" else declared)


def test_every_parameter_is_read_somewhere_outside_its_declaration():
    modules = [path for room in ROOMS for path in (TOP / room).rglob("*.py") if path.parent.name != "settings"]
    nodes = [node for path in modules for node in ast.walk(ast.parse(path.read_text()))]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # A loaded bundle says its parameters as JSON: they are read by name.
    keys = [node.slice for node in nodes if isinstance(node, ast.Subscript)]
    read |= {key.value for key in keys if isinstance(key, ast.Constant)}
    unread = [dotted for dotted, attribute in leaf_parameters(Settings).items() if attribute not in read]
    assert unread == []


@pytest.mark.parametrize("stage", GRAPH)
def test_no_output_lies_inside_a_room(stage):
    outputs = [out for key in ("outs", "metrics", "plots") for out in GRAPH[stage].get(key, [])]
    paths = [out if isinstance(out, str) else next(iter(out)) for out in outputs]
    assert paths
    assert not [path for path in paths if path.split("/")[0] in ROOMS]
