"""Versions in a real MLflow, made once; every test finds the home they live in as it was, and an empty Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from cli.releases import canary, collect, journal, releases
from contracts.home import Home
from release.bundle_build import build_bundle
from release.golden.golden_queries import GoldenQueries
from tests.once import built_once
from tests.promotion_worlds import (
    CHECKOUT,
    Studio,
    register_bundle,
    restore_home,
    settings_of_tests,
    turn_ranker_over,
    variant,
)
from tests.release_worlds import ingredients_of, small_settings


@pytest.fixture
def one_timed_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latency gate times each golden query once, for tests of its figure."""
    monkeypatch.setattr("release.gates.latency.MIN_ANSWERS", 1)


@pytest.fixture
def one_timed_answer(one_timed_round: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It times one golden query once, for tests of what follows from a decision.

    A module asks for it by name; `test_promotion_as_shipped.py` does not.
    """
    calls = GoldenQueries.calls
    monkeypatch.setattr(GoldenQueries, "calls", lambda queries: calls(queries)[:1])


@pytest.fixture(scope="session")
def base_bundle(tmp_path_factory: pytest.TempPathFactory, small_workspace: Path) -> Path:
    """A small release that loads, answers and can be published."""
    ingredients = ingredients_of(small_workspace, small_settings())
    folder = built_once(tmp_path_factory, "base", lambda folder: build_bundle(folder / "bundle", ingredients))
    return folder / "bundle"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two stages of a run recorded of themselves."""
    folder = tmp_path_factory.mktemp("runs")
    for stage, seconds in (("ingest", 1.5), ("candidates@test", 20)):
        record = {"stage": stage, "seconds": seconds, "peak_memory_mib": 300, "n_rows": {"users": 60}}
        (folder / f"{stage}.json").write_text(json.dumps(record))
    (folder / "validation").mkdir()
    (folder / "validation" / "index.html").write_text("<p>data docs</p>")
    return folder


@pytest.fixture(scope="session")
def stocked_home(tmp_path_factory: pytest.TempPathFactory, base_bundle: Path, runs: Path) -> Home:
    """Versions 1 and 2 as good as each other, 3 much worse, 4 built from uncommitted source, 5 as 1 and 2."""

    def stock(folder: Path) -> None:
        for number in range(1, 6):
            change = turn_ranker_over if number == 3 else None
            bundle = variant(base_bundle, folder / str(number), change=change, note=str(number))
            assert register_bundle(Home(folder / "home"), bundle, runs, dirty=number == 4).number == number

    return Home(built_once(tmp_path_factory, "stock", stock) / "home")


@pytest.fixture(scope="session")
def studio_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of all studios of this process, one after the other: at a new address MLflow would begin anew."""
    return Home(tmp_path_factory.mktemp("studio") / "home")


@pytest.fixture
def studio(stocked_home: Home, studio_home: Home, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """The five versions, none promoted, in a home in which nothing is left of the test before."""
    restore_home(stocked_home, studio_home)
    monkeypatch.setenv("SLATE_HOME", str(studio_home.root))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Studio(studio_home, settings_of_tests(), redis_url)


@pytest.fixture
def slate(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs one command on the studio; returns its exit code, output and error."""
    monkeypatch.chdir(CHECKOUT)
    app = typer.Typer()
    for module in (releases, journal, collect, canary):
        module.add_to(app)
    return lambda *words: CliRunner().invoke(app, list(words))
