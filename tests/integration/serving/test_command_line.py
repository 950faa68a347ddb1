"""`slate serve` and `slate recommend`: what they print, and how they end; one of each as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contracts.failure import TRY_AGAIN
from feature_store.server import embedded_redis
from tests.integration.serving.worlds import Stage
from tests.slate_command import slate_here

SLATE = (sys.executable, "-m", "cli.main")


@pytest.fixture
def checkout(stage: Stage, tmp_path: Path) -> Path:
    """A folder with this application's params.yaml, to run commands in."""
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(stage.settings.model_dump(mode="json", by_alias=True), file)
    return tmp_path


def slate(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLATE, *arguments], cwd=checkout, env=with_sources(environment), capture_output=True, text=True, check=False
    )


def with_sources(environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), **environment}


@contextmanager
def running(checkout: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*SLATE, "serve", "--port", "0", *options],
        cwd=checkout,
        env=with_sources(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_slate_is_printed_with_titles_scores_and_reasons(stage: Stage, checkout: Path) -> None:
    stage.point_at(0)
    done = slate(checkout, "recommend", "--user", "u500", "-k", "3")
    assert done.returncode == 0, done.stderr
    head, columns, *rows = done.stdout.splitlines()
    assert all(part in head for part in (*stage.pairs[0], "tier personal"))
    assert all(name in columns for name in ("title", "score", "source", "reasons"))
    assert len(rows) == 3
    assert "Film " in rows[0]


def test_a_slate_is_printed_as_json_too(stage: Stage, checkout: Path) -> None:
    stage.point_at(0)
    done = slate_here("recommend", "--like", "i1004", "--category", "drama", "--json", folder=checkout)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["tier"] == "onboarded"
    assert len(content["items"]) == 10


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("--user", "nobody"), "UnknownId", "knows no person 'nobody'"),
        (("--item", "i9"), "UnknownId", "knows no item 'i9'"),
        (("--like", "i9"), "UnknownId", "knows no item 'i9'"),
        (("-k", "101"), "WrongInput", "at most 100"),
        (("--category", "dramma"), "UnknownId", "Did you mean 'drama'?"),
        (("--filter", "price < 50"), "WrongInput", "The filter 'price < 50' is no JSON"),
        (("--filter", '{"field": "prise", "operator": "at_most", "value": 5}'), "UnknownId", "has no field 'prise'"),
    ],
)
def test_what_the_release_does_not_know_is_one_message_and_no_traceback(
    stage: Stage, checkout: Path, arguments: tuple[str, str], error: str, said: str
) -> None:
    stage.point_at(0)
    done = slate_here("recommend", *arguments, folder=checkout)
    assert done.returncode == 1
    assert error in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_in_production_says_what_to_do(checkout: Path) -> None:
    done = slate_here("recommend", "--user", "u500", folder=checkout)
    assert done.returncode == 1
    assert "slate promote VERSION" in done.stderr


def test_a_redis_that_is_away_says_so(checkout: Path) -> None:
    done = slate_here("recommend", folder=checkout, REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert done.returncode == TRY_AGAIN
    assert "StoreUnavailable" in done.stderr
    assert "secret" not in done.stderr


def test_a_port_in_use_is_named_with_the_variable_that_moves_it(checkout: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = slate_here("serve", folder=checkout, SLATE_API_PORT=str(port))
    assert done.returncode == 1
    assert "PortTaken" in done.stderr
    assert str(port) in done.stderr
    assert "SLATE_API_PORT" in done.stderr


def test_told_to_stop_a_server_ends_well_and_stops_the_redis_it_started(stage: Stage, checkout: Path) -> None:
    with running(checkout, REDIS_URL="") as process:
        assert process.stdout is not None
        assert "/v1/recommend" in process.stdout.readline()
        assert embedded_redis.running(stage.home)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert embedded_redis.running(stage.home) is None


def test_serving_loads_nothing_that_only_training_or_promoting_needs() -> None:
    unwanted = (
        *("mlflow", "great_expectations", "ibis", "duckdb", "airflow", "dvc", "matplotlib", "implicit"),
        *("pandas", "sklearn", "scipy.stats", "lightgbm"),
    )
    program = (
        "import sys, serving.http.server, serving.command_line_answer, cli.serving\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
