"""The training DAG runs the graph of dvc.yaml, and takes what is typed into its form as text alone."""

import json
import os
import stat
import subprocess
from itertools import pairwise
from typing import get_args

import pytest
from ruamel.yaml import YAML

from contracts.settings.ingest import IngestSettings
from tests.dags.conftest import CONTEXT, NASTY, TOP

GRAPH = YAML(typ="safe", pure=True).load((TOP / "dvc.yaml").read_text())["stages"]


@pytest.fixture
def training(dags):
    return dags["train_recommender"]


@pytest.fixture
def called(tmp_path):
    """Run a rendered task as Airflow would, with a `slate` that only writes down how it was called."""

    def run(task):
        fake = tmp_path / "bin" / "slate"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text("#!/usr/bin/env bash\nprintf '%s\\0' \"$@\" > ../arguments\n")
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        environment = {**os.environ, **(task["env"] or {}), "PATH": f"{fake.parent}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-c", task["command"]], env=environment, cwd=work, check=True)
        assert list(work.iterdir()) == [], "something typed into the form was run"
        return (tmp_path / "arguments").read_text().split("\0")[:-1]

    return run


def test_the_tasks_are_the_stages_of_the_graph_in_its_order_with_register_before_publish(training):
    stages = list(GRAPH)
    publish = stages.index("publish")
    assert training["order"] == ["prepare", *stages[:publish], "register", *stages[publish:], "record"]


def test_the_tasks_form_a_chain(training):
    order = training["order"]
    following = {task: [after] for task, after in pairwise(order)} | {order[-1]: []}
    assert {task: training["tasks"][task]["downstream"] for task in order} == following


def test_each_task_runs_the_step_of_its_own_name(training, called):
    run_id = f"--run-id={CONTEXT['run_id']}"
    for task_id in training["order"]:
        words = [task_id] if task_id in ("prepare", "record") else ["run", task_id]
        assert called(training["tasks"][task_id])[: len(words) + 2] == ["workspace", *words, run_id], task_id


def test_what_is_typed_into_the_form_reaches_prepare_as_text(training, called):
    _, _, _, *options = called(training["tasks"]["prepare"])
    ref, source, overrides = (option.partition("=")[2] for option in options)
    assert [option.partition("=")[0] for option in options] == ["--ref", "--source", "--overrides"]
    assert (ref, source) == (NASTY, "movielens")
    assert json.loads(overrides) == {"ingest.path": NASTY, "seed": 8}


def test_the_form_offers_every_source_that_ingest_can_read(training):
    _, *offered = training["params"]["source"]["enum"]
    assert offered == list(get_args(IngestSettings.model_fields["source"].annotation))


def test_the_form_explains_every_field(training):
    assert sorted(training["params"]) == ["overrides", "ref", "source"]
    for name, field in training["params"].items():
        assert field["title"], f"give the field {name} a title"
