"""A SLATE_HOME of every commit that build_home.py was run with; today's code goes on with it.

In each, version 2 is in production with refreshed values, and version 1, in production before, is the canary for half
the people.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import command_line
from contracts.home import Home
from contracts.settings.settings import load_settings
from feature_store.server.embedded_redis import online_store
from feature_store.server.server_program import free_port
from serving.http.app import create_app
from serving.http.server import build_api
from tests.golden.build_home import SMALL
from tests.integration.serving.worlds import wait_until
from tests.promotion_worlds import FOREIGN_WARNINGS

pytestmark = [
    *FOREIGN_WARNINGS,
    # Starlette's test client asks for another HTTP library than the one it still works with.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]
HERE = Path(__file__).resolve().parent
ARCHIVES = sorted(HERE.glob("home_*.tar.xz"))
ELSEWHERE = ("REDIS_URL", "MLFLOW_TRACKING_URI", "SLATE_JOURNAL_URL", "SLATE_APP", "SLATE_TOKEN")
PREDICT = """
import json, sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
for version in sys.argv[2:]:
    people = pandas.DataFrame({"user_id": ["u500", "u501", "u502", "nobody"], "k": 5})
    print(mlflow.pyfunc.load_model(f"models:/movies/{version}").predict(people).to_json(orient="records"))
"""


@dataclass(frozen=True)
class Before:
    """The home, with its Redis running, and what was recorded when it was made."""

    home: Home
    recorded: dict[str, Any]

    def slate(self, *words: str) -> str:
        """What a command of today prints."""
        result = CliRunner().invoke(command_line(), list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json_of(self, *words: str) -> Any:
        return json.loads(self.slate(*words, "--json"))

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of a server of today, which answers with all that it serves."""
        from starlette.testclient import TestClient

        settings = load_settings()
        patient = settings.serving.model_copy(update={"poll_ms": 10, "store_timeout_ms": 10_000})
        api = build_api(self.home, settings.model_copy(update={"serving": patient}), spool_name="test")
        with TestClient(create_app(api)) as client:
            wait_until(lambda: all_arms_are_ready(client.get("/readyz")))
            yield client

    def answers(self, moment: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """To each question: what was answered then, and what a server answers now."""
        with self.client() as client:
            for then in self.recorded["answers"][moment].values():
                yield then, client.post("/v1/recommend", json=then["asked"]).json()


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(request.param) as packed:
        packed.extractall(folder)  # packed by us; Python 3.11.2, as Debian has it, knows no `filter`
    return folder


@pytest.fixture
def before(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Before]:
    home, recorded = Home(tmp_path / "home"), json.loads((unpacked / "recorded.json").read_bytes())
    shutil.copytree(unpacked / "home", home.root)
    relocate(home.mlflow_database, recorded["root"], str(home.root))
    monkeypatch.setenv("SLATE_HOME", str(home.root))
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(workspace_in(tmp_path))
    with online_store(home):
        yield Before(home, recorded)


def workspace_in(folder: Path) -> Path:
    """A folder with the parameters of today, and the limits that the home's releases keep within."""
    yaml, workspace = YAML(), folder / "workspace"
    params = yaml.load(HERE.parents[1] / "params.yaml")
    params["promotion"].update(SMALL["promotion"], min_gain_over_popular=-0.1)  # the limit is younger than the home
    workspace.mkdir()
    yaml.dump(params, workspace / "params.yaml")
    return workspace


def relocate(database: Path, old: str, new: str) -> None:
    """Let MLflow's database name the folder where the home is now; a user's stays where it is."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            for _, column, kind, *_ in columns:
                if "CHAR" in kind or "TEXT" in kind:
                    connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))


def all_arms_are_ready(answer: Any) -> bool:
    """A server is ready with production alone; its canary is loaded after that."""
    canary = answer.json().get("canary")
    return answer.status_code == 200 and (canary is None or canary["ready"])


def assert_same_slate(then: dict[str, Any], now: dict[str, Any]) -> None:
    """The same arm, release, values and items; scores within the tolerance of golden queries."""
    names = ("arm", "tier", "release_id", "generation_id", "degraded")
    assert [now[name] for name in names] == [then[name] for name in names]
    assert [item["item_id"] for item in now["items"]] == [item["item_id"] for item in then["items"]]
    scores = [item["score"] for item in then["items"]]
    assert [item["score"] for item in now["items"]] == pytest.approx(scores, abs=1e-4)


def test_there_is_a_home_of_before() -> None:
    assert ARCHIVES


def test_its_releases_are_listed_as_they_were_but_for_the_generation_that_is_served(before: Before) -> None:
    served = before.json_of("journal", "--at", "2999-01-01T00:00Z")["production"]["generation_id"]
    then = before.recorded["releases"]
    added = {"copy_of": None, "release_commit": ""}  # of releases that nobody recorded in git
    expected = [one | added | ({"generation_id": served} if one["served"] else {}) for one in then]
    assert before.json_of("releases") == expected
    assert served not in {one["generation_id"] for one in then}  # it was refreshed


def test_its_journal_is_whole_and_says_the_same(before: Before) -> None:
    assert before.json_of("journal", "--limit", "0") == before.recorded["journal"]
    assert f"{len(before.recorded['journal'])} entries" in before.slate("journal", "verify")


def test_a_sync_asks_for_nothing_and_writes_nothing(before: Before) -> None:
    assert before.slate("sync") == "nothing was asked for\n"
    assert before.json_of("journal", "--limit", "0") == before.recorded["journal"]


def test_everybody_is_answered_as_before_by_the_same_arm(before: Before) -> None:
    pairs = list(before.answers("canary"))
    assert {then["arm"] for then, _ in pairs} == {"production", "canary"}
    for then, now in pairs:
        assert_same_slate(then, now)


def test_its_canary_ends_and_the_rollback_goes_to_the_release_before(before: Before) -> None:
    before.slate("canary", "stop")
    for then, now in before.answers("version_2"):
        assert_same_slate(then, now)
    assert before.json_of("rollback")["version"] == 1
    for then, now in before.answers("version_1"):
        assert_same_slate(then, now)
    before.slate("sync")
    stages = {row["version"]: (row["stage"], row["served"]) for row in before.json_of("releases")}
    assert stages == {1: ("Production", True), 2: ("Archived", False)}
    assert before.json_of("promote", "2")["verdict"] == "accepted"


def test_its_models_load_in_mlflow_and_answer_as_before(before: Before, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PREDICT, f"sqlite:///{before.home.mlflow_database}", "1", "2"]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.splitlines()
    for version, line in zip(("1", "2"), printed, strict=True):
        then, now = before.recorded["predictions"][version], json.loads(line)
        named = [(row["user_id"], row["position"], row["item_id"], row["release_id"]) for row in then]
        assert [(row["user_id"], row["position"], row["item_id"], row["release_id"]) for row in now] == named
        assert [row["score"] for row in now] == pytest.approx([row["score"] for row in then], abs=1e-4)


def test_what_its_servers_logged_is_collected(before: Before) -> None:
    n_shown = sum(len(one["items"]) for answers in before.recorded["answers"].values() for one in answers.values())
    collected = before.json_of("traffic", "collect")
    assert (collected["new"]["impressions"], collected["new"]["interactions"]) == (n_shown, 1)
    assert (collected["new"]["unreadable"], collected["lost"]) == (0, 0)


def test_the_requests_that_its_servers_logged_are_asked_again(before: Before) -> None:
    n_answered = sum(len(answers) for answers in before.recorded["answers"].values())
    assert before.json_of("shadow", "1")["requests"] == n_answered


def test_a_server_that_finds_no_redis_starts_from_the_pointer_kept_on_disk(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    production = before.recorded["answers"]["version_2"]["u500"]
    with before.client() as client:
        now = client.post("/v1/recommend", json=production["asked"]).json()
    assert (now["release_id"], now["generation_id"]) == (production["release_id"], production["generation_id"])
    assert now["degraded"] != []
