"""Registering releases in a real MLflow on SQLite, and asking the registered model for slates."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from contracts.errors import RegistryError, RegistryUnavailable
from contracts.home import Home
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import load_manifest
from release.journal.journal import Journal
from release.promotion.rollback import roll_back
from release.registry.model_description import model_description
from release.registry.registration import MODEL_TAG
from release.registry.registry import Registry
from release.registry.state import Stage
from tests.promotion_worlds import COMMIT, FOREIGN_WARNINGS, Studio, register_bundle

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]


def runs_of(registry: Registry) -> list:
    with registry.connection.speaking() as client:
        experiment = client.get_experiment_by_name(registry.app)
        return list(client.search_runs([experiment.experiment_id]))


def test_a_release_is_registered_once(studio: Studio, runs: Path) -> None:
    kept = studio.home.bundles / studio.registry.version(1).release_id
    n_runs = len(runs_of(studio.registry))
    again = register_bundle(studio.home, kept, runs)
    assert (again.number, again.newly_registered) == (1, False)
    assert len(runs_of(studio.registry)) == n_runs
    assert [version.number for version in studio.registry.versions()] == [1, 2, 3, 4, 5]


@contextmanager
def database_held(studio: Studio, monkeypatch: pytest.MonkeyPatch, how: str = "EXCLUSIVE") -> Iterator[None]:
    """Somebody else writes into MLflow's database, and does not come to an end."""
    monkeypatch.setattr("release.registry.database_lock.PATIENCE_S", 0.05)
    with closing(sqlite3.connect(studio.home.mlflow_database, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


def test_a_database_that_another_process_holds_is_one_sentence_and_a_next_step(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        database_held(studio, monkeypatch),
        pytest.raises(
            RegistryUnavailable, match=r"mlflow.*\.db is held by another process for more than 0.05 s"
        ) as told,
    ):
        studio.promoter.promote(1, requester="ada")
    assert f"fuser -v {studio.home.mlflow_database}" in told.value.next_step
    assert "".join(capfd.readouterr()) == ""
    assert studio.promoter.promote(1, requester="ada").accepted


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_database_that_is_taken_in_the_middle_is_told_alike(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    registry = studio.registry
    version = registry.version(1)
    with (
        database_held(studio, monkeypatch, how),
        pytest.raises(RegistryUnavailable, match="is held by another process"),
    ):
        registry.annotate(version, {"mine": "words"}, "")
    assert "".join(capfd.readouterr()) == ""
    registry.annotate(version, {"mine": "words"}, "")


def test_a_rollback_does_not_wait_for_a_database_that_another_process_holds(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        assert studio.promoter.promote(number, requester="ada").accepted
    with database_held(studio, monkeypatch):
        done = roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="cli:ada")
    assert done.version == 1
    assert "is held by another process" in done.registry_pending
    studio.promoter.sync()
    assert studio.stages()[1] == "Production"


def test_the_version_says_what_it_is_made_of(studio: Studio) -> None:
    version = studio.registry.version(4)
    manifest = load_manifest(studio.home.bundles / version.release_id)
    assert (version.release_id, version.generation_id) == (manifest.release_id, manifest.generation_id)
    assert (version.commit, version.dirty, studio.registry.version(1).dirty) == (COMMIT, True, False)
    assert version.tags["slate.data"]
    assert version.release_id in version.description
    assert version.stage is Stage.NONE


def test_a_release_of_uncommitted_source_names_the_commit_once_its_source_is_committed(
    studio: Studio, runs: Path
) -> None:
    kept = studio.home.bundles / studio.registry.version(4).release_id
    assert register_bundle(studio.home, kept, runs, dirty=True).dirty
    again = register_bundle(studio.home, kept, runs)
    assert (again.number, again.dirty, again.commit, again.newly_registered) == (4, False, COMMIT, False)
    assert not register_bundle(studio.home, kept, runs, dirty=True).dirty


LAST_WORDS_OF_BEFORE = """\
The README and `docs/runbook.md` of the checkout say more: what each gate asks, who may promote, canaries.
`slate status` prints the addresses of Airflow, of this server and of the API: its `/docs` and `/readyz` show what is
served.
"""


def described_by_the_next_registration(studio: Studio, description: str) -> str:
    with studio.registry.connection.speaking() as client:
        client.update_registered_model(studio.app, description)
        studio.registry._describe_model(client)
        return str(client.get_registered_model(studio.app).description)


def test_the_models_page_links_to_what_is_served_and_follows_its_address_and_somebodys_own_words_stay(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLATE_API_URL", "SLATE_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    moved = model_description({"SLATE_API_PORT": "18000"})
    for page in ("/", "/docs", "/readyz"):
        assert f"](http://127.0.0.1:18000{page})" in moved
    for ours in (moved, moved.partition("[What is served now]")[0] + LAST_WORDS_OF_BEFORE):
        assert described_by_the_next_registration(studio, ours) == model_description({})
    monkeypatch.setenv("SLATE_API_URL", "https://slates.example.org/movies/")
    assert "](https://slates.example.org/movies/docs)" in described_by_the_next_registration(studio, "")
    for own in ("Ask Ada before you promote.", f"{moved}\nAsk Ada."):
        assert described_by_the_next_registration(studio, own) == own


def test_the_run_holds_parameters_figures_reports_and_one_child_per_stage(studio: Studio) -> None:
    version = studio.registry.version(1)
    with studio.registry.connection.speaking() as client:
        run = client.get_run(version.run_id)
        assert run.data.params["candidates.als.factors"] == "4"
        card = json.loads((BundleStore(studio.home).path(version.release_id) / "evaluation.json").read_text())
        assert run.data.metrics["headline.ndcg_at_10"] == pytest.approx(card["headline"]["ndcg_at_10"])
        assert (run.info.run_name, run.data.tags["mlflow.source.name"]) == (
            f"release {version.release_id}",
            "slate register",
        )
        assert min(run.data.metrics) == "1_ndcg_at_10"
        assert run.data.metrics["1_ndcg_at_10"] == run.data.metrics["headline.ndcg_at_10"]
        assert client.get_registered_model(studio.app).description == model_description()
        assert [file.path for file in client.list_artifacts(version.run_id, "validation")] == ["validation/index.html"]
    children = {
        other.info.run_name: other.data.metrics
        for other in runs_of(studio.registry)
        if other.data.tags.get("mlflow.parentRunId") == version.run_id
    }
    assert children == {
        f"ingest of {version.release_id}": {"seconds": 1.5, "peak_memory_mib": 300, "n_rows.users": 60},
        f"candidates@test of {version.release_id}": {"seconds": 20, "peak_memory_mib": 300, "n_rows.users": 60},
    }


def test_nothing_that_is_logged_is_a_pickle(stocked_home: Home) -> None:
    files = [path for path in stocked_home.mlflow_artifacts.rglob("*") if path.is_file()]
    assert any(path.name == "manifest.json" for path in files)
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib"}]


@pytest.mark.parametrize("logged", [True, False], ids=["after the model was logged", "while it was logged"])
def test_a_registration_that_was_killed_is_finished_by_the_next(studio: Studio, runs: Path, logged: bool) -> None:
    version = studio.registry.version(1)
    n_runs = len(runs_of(studio.registry))
    studio.delete_version(1)
    if not logged:
        with studio.registry.connection.speaking() as client:
            client.delete_tag(version.run_id, MODEL_TAG)
    again = register_bundle(studio.home, studio.home.bundles / version.release_id, runs)
    assert (again.release_id, again.newly_registered, again.number) == (version.release_id, True, 6)
    assert (again.run_id == version.run_id) == logged
    assert len(runs_of(studio.registry)) == n_runs


def predicted_in_production(studio: Studio, folder: Path, people: str) -> subprocess.CompletedProcess[str]:
    """What the model in production says of these people, in a process of its own; people: the columns, as Python."""
    code = (
        "import mlflow, pandas, sys; mlflow.set_tracking_uri(sys.argv[1]);"
        "model = mlflow.pyfunc.load_model('models:/movies/Production');"
        f"model.predict(pandas.DataFrame({people})).to_json(sys.stdout, orient='records')"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, studio.registry.connection.uri]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_slates_come_out_of_the_production_stage_in_batch_from_any_folder(studio: Studio, tmp_path: Path) -> None:
    studio.set_stage(2, Stage.PRODUCTION)
    answer = predicted_in_production(studio, tmp_path, "{'user_id': ['u501', 'nobody'], 'k': [3, 2]}")
    answer.check_returncode()
    rows = json.loads(answer.stdout)
    assert [(row["user_id"], row["position"]) for row in rows] == [
        ("u501", 1), ("u501", 2), ("u501", 3), ("nobody", 1), ("nobody", 2),
    ]  # fmt: skip
    assert {row["release_id"] for row in rows} == {studio.registry.version(2).release_id}
    assert all(row["title"].startswith("Film") and row["item_id"].startswith("i1") for row in rows)


def test_the_model_takes_a_placement_and_refuses_one_that_is_none(studio: Studio, tmp_path: Path) -> None:
    studio.set_stage(2, Stage.PRODUCTION)
    at_home = predicted_in_production(studio, tmp_path, "{'user_id': ['u501'], 'k': [2], 'placement': ['home']}")
    assert (at_home.returncode, len(json.loads(at_home.stdout))) == (0, 2)
    refused = predicted_in_production(studio, tmp_path, "{'user_id': ['u501'], 'k': [2], 'placement': ['hoem']}")
    assert refused.returncode
    assert "has no placement 'hoem'" in refused.stderr


def test_a_bundle_can_be_had_back_from_the_registry(studio: Studio, tmp_path: Path) -> None:
    version = studio.registry.version(3)
    fetched = studio.registry.download_bundle(version, tmp_path / "fetched")
    assert load_manifest(fetched).release_id == version.release_id


def test_an_unknown_version_is_an_error_that_lists_the_known_ones(studio: Studio) -> None:
    with pytest.raises(RegistryError, match="no version 9; it has 1, 2, 3, 4, 5"):
        studio.registry.version(9)


def test_no_error_shows_the_password_of_the_registry(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as refusing:  # it answers 501 to everything
        Thread(target=refusing.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:secret@127.0.0.1:{refusing.server_port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(RegistryError, match=rf"ada:\*\*\*@127.0.0.1:{refusing.server_port}") as caught:
            Registry(home, "movies").version(1)
        refusing.shutdown()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["./mlruns", "http://127.0.0.1:99999x/"])
def test_an_address_that_is_none_of_mlflow_is_one_of_our_errors(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(RegistryError, match=r"MLFLOW_TRACKING_URI|maintenance mode") as caught:
        Registry(home, "movies").connection.ping()
    assert address in caught.value.problem


def test_a_server_that_listens_and_says_nothing_is_unavailable(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.registry.connection.ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RegistryUnavailable, match="timed out"):
            Registry(home, "movies").connection.ping()


def test_an_unreachable_server_is_named_with_what_to_do(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers, nobody else takes it
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:secret@127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(RegistryUnavailable, match=r"(?s)http://ada:\*\*\*@127.0.0.1:\d+.*make up") as caught:
            Registry(home, "movies").connection.ping()
    assert "secret" not in str(caught.value)
