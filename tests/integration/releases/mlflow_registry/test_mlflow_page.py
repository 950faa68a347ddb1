"""A person at MLflow's page, in a real browser, while the watch runs: what they set is decided and explained there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.left_out import needed
from tests.mlflow_page import CHROMIUM, DRIVER, VersionPage, browser
from tests.mlflow_server import MlflowServer
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio, settings_of_tests

pytestmark = [
    *FOREIGN_WARNINGS,
    pytest.mark.usefixtures("one_timed_answer"),
    pytest.mark.slow,
    needed(CHROMIUM and DRIVER, "a browser: `apt-get install chromium chromium-driver`"),
]
# Each row of the decision stands on the page once the promoter has written it.
ACCEPTED, REFUSED = "accepted for Production", "refused for Production"


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with browser() as driver:
        yield driver


def on_a_slow_machine(params: str) -> str:
    """The watch reads its parameters from a file; other tests run beside it."""
    asked = f"max_p99_ratio: {settings_of_tests().promotion.max_p99_ratio:g}"
    return re.sub(r"max_p99_ratio: [\d.]+", asked, params)


@pytest.fixture
def mlflow(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server over the studio's registry, and a watch that decides on what is asked there."""
    server = MlflowServer(studio.home, tmp_path / "mlflow.log")
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    (tmp_path / "params.yaml").write_text(on_a_slow_machine((CHECKOUT / "params.yaml").read_text()))
    command = [sys.executable, "-m", "cli.main", "sync", "--watch", "--every", "1"]
    with (tmp_path / "watch.log").open("wb") as log:
        watch = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        yield server.address
    finally:
        watch.terminate()
        watch.wait()
        server.stop()


def test_stage_and_alias_are_decided_a_worse_model_is_refused_and_an_older_version_comes_back(
    studio: Studio, mlflow: str, chromium: webdriver.Chrome
) -> None:
    def page(version: int) -> VersionPage:
        return VersionPage(chromium, mlflow, studio.app, version)

    first = page(1)
    first.set_stage("Production")
    first.read_until(ACCEPTED)
    assert studio.served() == 1

    second = page(2)
    second.add_alias("production")
    second.read_until(ACCEPTED)
    assert (studio.served(), second.stage()) == (2, "Production")

    worse = page(3)
    worse.set_stage("Production")
    text = worse.read_until(REFUSED)
    assert "NDCG@10" in text
    assert (studio.served(), worse.stage(), page(2).stage()) == (2, "None", "Production")

    assert page(1).stage() == "Archived"
    first = page(1)
    first.set_stage("Production")
    first.read_until("@ production")
    assert (studio.served(), first.stage()) == (1, "Production")
