"""Fixtures every tier shares: a SLATE_HOME of its own, a small world, a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.home import Home
from contracts.tables import CanonicalTables
from tests.left_out import LEFT_OUT
from tests.worlds import small_world


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty SLATE_HOME that this test alone uses."""
    root = tmp_path / "slate-home"
    monkeypatch.setenv("SLATE_HOME", str(root))
    return Home(root)


@pytest.fixture(scope="session")
def world() -> CanonicalTables:
    """The small world; nobody may change it."""
    return small_world()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis server that lives as long as the test session."""
    from feature_store.embedded_redis import online_store

    with online_store(Home(tmp_path_factory.mktemp("redis-home"))) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real Redis server, emptied before this test."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last, and in red, which tests were left out for want of something on this machine."""
    reports = terminalreporter.getreports("skipped")
    left_out = [report for report in reports if isinstance(report.longrepr, tuple) and LEFT_OUT in report.longrepr[2]]
    if left_out:
        terminalreporter.section("left out", red=True, bold=True)
        for report in left_out:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}", red=True)
