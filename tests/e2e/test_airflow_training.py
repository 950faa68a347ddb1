"""A run triggered in Airflow ends with a new version in MLflow that knows the commit it can be had back from."""

import subprocess
import sys
import urllib.parse

import pytest

from contracts.home import Home
from release.bundle.manifest import check_files, load_manifest
from release.registry.registry import Registry
from tests.e2e.airflow_server import airflow_standalone, wait_until
from tests.e2e.conftest import make_checkout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # twelve tasks, each of which starts Python three times, on cores that others use too
    # MLflow's own query, on every search of versions.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]
RUN_WITHIN_SECONDS = 1200
# Something new, and less to compute.
OVERRIDES = {"ranking.n_trees": 20, "features.n_snapshots": 3, "evaluate.n_bootstrap": 100, "evaluate.max_people": 50}
STEPS = [
    *("ingest", "validate", "features", "candidates", "index", "ranking"),
    *("evaluate", "release", "register", "publish"),
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, redis_server):
    """The checkout, and the environment of a person who works in it; its Redis is the tests'."""
    made = make_checkout(tmp_path_factory.mktemp("training"))
    return made, {**made.environment, "REDIS_URL": redis_server}


@pytest.fixture(scope="module")
def trained(checkout):
    """A run of the training DAG, triggered over REST with overrides: its id, and the states of its tasks."""
    made, environment = checkout
    with airflow_standalone(made.folder, Home(made.home), environment) as airflow:
        wait_until(lambda: airflow.has_dag("train_recommender"), 120, airflow.log)
        run_id = airflow.trigger("train_recommender", {"overrides": OVERRIDES})
        states = airflow.wait_for_run("train_recommender", run_id, RUN_WITHIN_SECONDS)
        tasks = f"/api/v2/dags/train_recommender/dagRuns/{urllib.parse.quote(run_id)}/taskInstances"
        for task, button in BUTTONS.items():
            link = airflow.call("GET", f"{tasks}/{task}/links")["extra_links"][button]
            pages[task] = airflow.page(link), airflow.page(link, signed_in=False)
        return run_id, states


BUTTONS = {"validate": "Validation", "evaluate": "Evaluation", "register": "MLflow run"}
pages: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {}  # what the button on a task leads to


@pytest.fixture
def versions(checkout):
    return lambda: Registry(Home(checkout[0].home), "movies").versions()


def git(checkout, *arguments):
    answer = subprocess.run(["git", *arguments], cwd=checkout[0].folder, check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def slate(checkout, *arguments):
    made, environment = checkout
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=made.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_task_of_the_run_ends_well(trained):
    _, states = trained
    assert states == dict.fromkeys(["prepare", *STEPS, "record"], "success")


def test_the_task_validate_leads_whoever_is_signed_in_to_the_page_about_the_data(trained):
    (status, page), (status_of_a_stranger, _) = pages["validate"]
    assert status == 200
    assert "Is it good? Yes, the data is good." in page
    assert status_of_a_stranger == 401


@pytest.mark.parametrize("task", ["evaluate", "register"])
def test_the_tasks_evaluate_and_register_lead_to_where_the_run_is_in_mlflow(checkout, trained, task):
    (status, page), (status_of_a_stranger, _) = pages[task]
    # Here MLflow has no server to be led to.
    assert (status, f"in MLflow's database sqlite:///{Home(checkout[0].home).mlflow_database}" in page) == (404, True)
    assert status_of_a_stranger == 401


def test_the_new_version_carries_the_commit_of_the_run_under_its_release_tag_and_no_branch_stays(
    checkout, trained, versions
):
    (version,) = versions()
    commit = git(checkout, "rev-parse", f"release/{version.release_id}^{{commit}}")
    assert version.tags["slate.release_commit"] == commit
    assert git(checkout, "branch", "--list", "run/*") == ""
    assert git(checkout, "show", "-s", "--format=%an", commit) == "Slatework"
    assert "n_trees: 20" in git(checkout, "show", f"{commit}:params.yaml")
    assert not version.dirty


def test_the_workspace_of_a_run_that_ended_well_is_gone(checkout, trained):
    assert "no workspaces" in slate(checkout, "workspace", "list")


def test_a_run_on_what_was_recorded_ends_well_with_the_same_version_and_no_commit(checkout, trained, versions):
    (before,) = versions()
    commit = git(checkout, "rev-parse", f"release/{before.release_id}^{{commit}}")
    slate(checkout, "workspace", "prepare", "--run-id=again", f"--ref=release/{before.release_id}")
    for step in STEPS:
        slate(checkout, "workspace", "run", step, "--run-id=again")
    said = slate(checkout, "workspace", "record", "--run-id=again")
    assert "nothing to commit" in said
    assert git(checkout, "branch", "--list", "run/*") == ""
    assert git(checkout, "rev-parse", f"release/{before.release_id}^{{commit}}") == commit
    assert [version.number for version in versions()] == [before.number]


def test_the_release_tag_and_dvc_checkout_give_back_every_byte(checkout, trained, versions, tmp_path):
    _, environment = checkout
    (version,) = versions()
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "back"), f"release/{version.release_id}")
    for command in ([sys.executable, "-m", "cli.main", "setup"], ["dvc", "checkout", "--quiet"]):
        subprocess.run(command, cwd=tmp_path / "back", env=environment, check=True, capture_output=True)
    bundle = tmp_path / "back" / "build" / "release"
    manifest = load_manifest(bundle)
    assert manifest.release_id == version.release_id
    check_files(bundle, manifest)
