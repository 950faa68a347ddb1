"""A person at MLflow's page, in a real browser, while the watch runs: what they set is decided and explained there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from selenium import webdriver

from feature_store.server_program import free_port
from tests.left_out import needed
from tests.mlflow_page import CHROMIUM, DRIVER, VersionPage, browser
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio

pytestmark = [
    *FOREIGN_WARNINGS,
    pytest.mark.slow,
    needed(CHROMIUM and DRIVER, "a browser: `apt-get install chromium chromium-driver`"),
]
# Each row of the decision stands on the page once the promoter has written it.
ACCEPTED, REFUSED = "accepted for Production", "refused for Production"


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def mlflow(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server over the studio's registry, and a watch that decides on what is asked there."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{studio.home.mlflow_database}"),
        *("--default-artifact-root", studio.home.mlflow_artifacts.as_uri(), "--no-serve-artifacts"),
    ]
    watch = [sys.executable, "-m", "cli.main", "sync", "--watch", "--every", "1"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    quiet = {"cwd": CHECKOUT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    processes = [subprocess.Popen(command, env=environment, **quiet) for command in (server, watch)]
    try:
        studio.wait_for_registry()
        yield address
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


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
