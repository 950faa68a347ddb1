"""The buttons on tasks, and the pages that they lead to."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import TOP

PAGE = "http://127.0.0.1:5000/#/experiments/1/runs/abc"
SLATE = """#!/usr/bin/env bash
case "$*" in
"workspace address --run-id=a run/1") echo http://127.0.0.1:5000/#/experiments/1/runs/abc ;;
"workspace address --run-id=unserved") echo sqlite:////home/mlflow.db ;;
"workspace page --run-id=a run/1") echo "<p>Is it good?</p>" ;;
*) echo "slate: WorkspaceError: Run '$3' is not registered." >&2; exit 1 ;;
esac
"""
PATHS = [f"/{page}?run_id={run}" for page in ("validation", "registered", "evaluation") for run in ("a%20run%2F1", "x")]
UNSERVED = "/registered?run_id=unserved"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What strangers and whoever is signed in are answered, by path: status, where it leads, content."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "slate").write_text(SLATE)
    (folder / "slate").chmod(stat.S_IRWXU)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(folder / "airflow"), "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, str(Path(__file__).with_name("ask_run_pages.py")), str(TOP / "dags")]
    asked = [*PATHS, UNSERVED]
    done = subprocess.run([*command, json.dumps(asked)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    strangers, signed_in = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(asked, strangers, strict=True)), dict(zip(asked, signed_in, strict=True))


def test_the_buttons_lead_to_the_pages_of_their_run(dags):
    links = {task: described["links"] for task, described in dags["train_recommender"]["tasks"].items()}
    run_id = "manual%201%2B1%2F2%263"
    assert {task: of_task for task, of_task in links.items() if of_task} == {
        "validate": {"Validation": f"/slatework/validation?run_id={run_id}"},
        "evaluate": {"Evaluation": f"/slatework/evaluation?run_id={run_id}"},
        "register": {"MLflow run": f"/slatework/registered?run_id={run_id}"},
    }


def test_the_pages_of_a_run_are_shown_and_those_in_mlflow_are_led_to(answers):
    _, signed_in = answers
    assert signed_in["/validation?run_id=a%20run%2F1"] == [200, "", "<p>Is it good?</p>\n"]
    assert signed_in["/registered?run_id=a%20run%2F1"][:2] == [307, PAGE]
    assert signed_in["/evaluation?run_id=a%20run%2F1"][:2] == [307, f"{PAGE}/artifacts/reports"]


def test_a_run_without_a_page_is_told_as_that_in_words(answers):
    _, signed_in = answers
    for page in ("validation", "registered", "evaluation"):
        status, _, content = signed_in[f"/{page}?run_id=x"]
        assert (status, "is not registered" in content) == (404, True)
    status, _, content = signed_in[UNSERVED]
    assert (status, "`slate up` starts one" in content) == (404, True)


def test_a_stranger_sees_none_of_them(answers):
    strangers, _ = answers
    assert {status for status, *_ in strangers.values()} == {401}
