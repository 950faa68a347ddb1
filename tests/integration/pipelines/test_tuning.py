"""`slate tune` on small data: a real study in SQLite, real runs in MLflow's file store, and a kill in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contracts.settings.settings import load_settings
from pipelines.paths import VALID
from release.registry.tuning_runs import PARENT_TAG, STATE_TAG, TRIAL_TAG
from tests.release_worlds import CHECKOUT, small_settings
from tests.slate_command import slate_here
from tests.worlds import small_world

SPLITS = {"n_snapshots": 2, "snapshot_step_share": 0.15, "history_length": 50}
SEARCHED = ("--only", "ranking.n_leaves", "--only", "ranking.l2")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with valid tables and parameters, and a comment among them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # made in a tenth of the time that its database takes
    small_world(n_users=24, n_items=20, n_events=1200).save(VALID)
    settings = small_settings(features=SPLITS, rolling={"n_windows": 3, "n_seeds": 2})
    with Path("params.yaml").open("w") as file:
        YAML().dump(settings.model_dump(mode="json", by_alias=True), file)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("  n_leaves: 4\n", "  n_leaves: 4 # a reason\n"))
    return tmp_path


def killed_in_its_second_trial(workspace: Path) -> list[str]:
    """Start the command, and kill it once its first trial is over; what it had told."""
    command = [sys.executable, "-m", "cli.main", "tune", *SEARCHED, "--minutes", "30"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])}
    told = []
    with subprocess.Popen(command, cwd=workspace, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            told.append(line)
            if "trial 0: " in line:
                process.send_signal(signal.SIGKILL)
                break
    return told


def runs_of(workspace: Path) -> tuple[list, list]:
    """The parents and the trials that MLflow has."""
    from mlflow import MlflowClient

    client = MlflowClient((workspace / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("movies-tuning")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if PARENT_TAG not in run.data.tags], [
        run for run in runs if PARENT_TAG in run.data.tags
    ]


def test_a_killed_search_goes_on_and_what_it_found_is_judged_logged_and_written_only_when_asked(
    workspace: Path,
) -> None:
    told = killed_in_its_second_trial(workspace)
    assert "trial 0: " in told[-1], told
    before = Path("params.yaml").read_text()

    result = slate_here("tune", *SEARCHED, "--minutes", "0.05", "--json")
    assert result.returncode == 0, result.stderr
    tuned = json.loads(result.stdout)
    study, tried = tuned["study"], tuned["tried"]
    assert study in "".join(told)
    assert tuned["windows"] == [1, 2]  # of three: the last one chooses nothing
    assert tuned["keys"] == ["ranking.n_leaves", "ranking.l2"]
    numbers = [one["number"] for one in tried]
    assert numbers == sorted(numbers)
    assert tried[0]["value"] == pytest.approx(tuned["baseline"])
    interrupted = [one for one in tried if one["why"] == "interrupted"]
    assert len(interrupted) <= 1
    for lost in interrupted:
        again = tried[tried.index(lost) + 1]
        assert again["overrides"] == lost["overrides"]
        assert again["state"] != "FAIL"

    (parent,), trials = runs_of(workspace)
    assert parent.info.status == "FINISHED"
    assert {run.data.tags[PARENT_TAG] for run in trials} == {parent.info.run_id}
    logged = {int(run.data.tags[TRIAL_TAG]): run for run in trials}
    assert len(logged) == len(trials)
    assert sorted(logged) == numbers
    for one in tried:
        run = logged[one["number"]]
        assert run.data.tags[STATE_TAG] == one["state"]
        assert run.data.params["ranking.n_leaves"] == str(one["overrides"]["ranking.n_leaves"])
        assert run.data.metrics.get("ndcg_at_10") == one["value"]

    for one in tuned["finalists"]:
        assert set(one["gain"]["warm"]["ndcg_at_10"]) >= {"mean", "over_people", "n_ahead"}
    assert Path("params.yaml").read_text() == before
    wins = [one["name"] for one in tuned["finalists"] if not one["objections"]]
    assert (tuned["winner"] in wins) if wins else (tuned["winner"] is None and tuned["diff"] == "")

    written = slate_here("tune", *SEARCHED, "--minutes", "0", "--write")
    assert written.returncode == 0, written.stderr
    assert "# a reason" in Path("params.yaml").read_text()
    settings = load_settings(Path("params.yaml")).model_dump()
    for key, value in tuned["changes"].items():
        group, name = key.split(".")
        assert settings[group][name] == value
    assert (Path("params.yaml").read_text() == before) == (tuned["winner"] is None)


def test_what_cannot_be_tuned_is_refused_with_what_can(workspace: Path) -> None:
    result = slate_here("tune", "--only", "ranking.n_tree")
    assert result.returncode == 1
    assert "Did you mean `--only ranking.n_trees`?" in result.stderr
    assert not (workspace / "home" / "tuning").exists()
