"""The rules every DAG file keeps; a failure names the DAG, the task and what to change."""

import ast

import pytest

from tests.dags.conftest import TOP

DAG_FILES = sorted(path for path in (TOP / "dags").glob("*.py") if path.name != "__init__.py")
ROOMS = {"contracts", "sources", "feature_store", "recommender", "release", "pipelines", "serving", "cli"}
# Packages that cost seconds or memory at every parse, and that Airflow itself does not load before it parses.
HEAVY = {"pandas", "numpy", "polars", "mlflow", "great_expectations", "lightgbm", "faiss", "dvc", "ibis", "duckdb"}


def test_every_dag_file_parses_into_the_dag_named_like_it(parsed):
    assert parsed["errors"] == {}
    assert sorted(parsed["dags"]) == [path.stem for path in DAG_FILES]


def test_parsing_the_dags_imports_nothing_of_ours_and_nothing_heavy(parsed):
    new = {name.split(".")[0] for name in parsed["new_modules"]}
    assert not new & (ROOMS | HEAVY), "a DAG file imports this: move it into the command that its task runs"


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_does_nothing_at_import_but_declare(path):
    """No clock, file, variable or network: only these calls may stand outside a function."""
    allowed = {
        "SlateStep",
        "DAG",
        "Param",
        "chain",
        "datetime",
        "stage",
        "step",
        "str",
        "Path",
        "timedelta",
        "ValidationLink",
        "EvaluationLink",
        "MlflowLink",
    }
    body = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.FunctionDef)]
    calls = {ast.unparse(node.func) for part in body for node in ast.walk(part) if isinstance(node, ast.Call)}
    assert calls <= allowed, f"{path.name} calls {sorted(calls - allowed)} when it is parsed: move it into a task"


def test_every_dag_carries_its_runbook_and_says_what_it_is(dags):
    for name, dag in dags.items():
        assert dag["description"], f"{name}: give it a description"
        for task in dag["tasks"]:
            assert task in dag["doc"], f"{name}: the runbook does not say what to do when {task} is red"


def test_every_task_decides_on_retries_and_a_time_limit(dags):
    for name, dag in dags.items():
        for task_id, task in dag["tasks"].items():
            for setting in ("retries", "execution_timeout"):
                assert task[setting] not in (None, ""), f"{name}.{task_id}: set {setting}, and say why beside it"


def test_every_dag_bounds_its_runs_and_does_not_catch_up(dags):
    for name, dag in dags.items():
        assert dag["max_active_runs"] == 1, f"{name}: set max_active_runs=1, or say here why two may run"
        assert dag["max_active_tasks"] == 1, f"{name}: set max_active_tasks=1: a stage uses every core"
        assert dag["catchup"] is False, f"{name}: set catchup=False: a missed period is not made up for"


def test_tasks_run_in_the_checkout_and_inherit_the_environment_of_the_services(dags):
    for name, dag in dags.items():
        for task_id, task in dag["tasks"].items():
            assert task["cwd"] == str(TOP), f"{name}.{task_id}: set cwd=REPOSITORY"
            assert task["append_env"], f"{name}.{task_id}: set append_env=True, or it runs without PATH and REDIS_URL"


def test_every_task_is_one_command_of_slate(dags):
    for name, dag in dags.items():
        for task_id, task in dag["tasks"].items():
            assert task["command"].startswith("exec slate "), (
                f"{name}.{task_id}: run `exec slate ...`: {task['command']}"
            )


def test_only_prepare_hands_something_on_and_that_is_a_path(dags):
    pushing = [task_id for task_id, task in dags["train_recommender"]["tasks"].items() if task["do_xcom_push"]]
    assert pushing == ["prepare"]
    assert not dags["promote_recommender"]["tasks"]["sync"]["do_xcom_push"]


def test_slates_for_everybody_go_into_a_folder_of_the_run_and_a_list_of_people_is_handed_on(dags):
    task = dags["batch_slates"]["tasks"]["batch"]
    assert task["env"]["SLATE_OUT"] == "slates/20260101T000000"
    assert (task["env"]["SLATE_K"], task["env"]["SLATE_PEOPLE"]) == ("20", "")
    assert (task["env"]["SLATE_ENGINE"], "--engine=" in task["command"]) == ("processes", True)
    assert '${SLATE_PEOPLE:+--people="$SLATE_PEOPLE"}' in task["command"]
