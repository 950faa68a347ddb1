"""Fixtures every tier shares: a SLATE_HOME of its own, a small world, a real Redis, a real Postgres."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from contracts.arithmetic import settle_arithmetic
from contracts.home import Home
from contracts.tables import CanonicalTables
from tests.left_out import LEFT_OUT
from tests.once import built_once
from tests.spark import SMALL_SPARK
from tests.worlds import small_shop, small_world

settle_arithmetic()  # as stages and commands do: what tests compute is then equal to what they compute

# TensorFlow has an environment of its own that CI does not make: `make test-tfrs` runs these.
collect_ignore = ["tfrs"]

# A deadline measures the machine, not the code: a busy one fails what is right.
hypothesis.settings.register_profile("slatework", deadline=None)
hypothesis.settings.load_profile("slatework")


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
def shop() -> CanonicalTables:
    """The small shop, in which purchases are taken back; nobody may change it."""
    return small_shop()


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory, world: CanonicalTables) -> Path:
    """What the stages up to `evaluate` make of the small world with small models; nobody may change it."""
    from tests.release_worlds import run_stages, small_settings

    return built_once(tmp_path_factory, "workspace", lambda folder: run_stages(folder, world, small_settings()))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis server that lives as long as the test session."""
    from feature_store.server.embedded_redis import online_store

    with online_store(Home(tmp_path_factory.mktemp("redis-home"))) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real Redis server, emptied before this test."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a node of a real Redis Cluster of three that lives as long as the test session."""
    from bench.redis_cluster import three_nodes

    with three_nodes(tmp_path_factory.mktemp("redis-cluster")) as url:
        yield url


@pytest.fixture
def cluster_url(cluster_servers: str) -> str:
    """The URL of a node of a real Redis Cluster of three, emptied before this test."""
    import redis

    with redis.RedisCluster.from_url(cluster_servers) as client:
        client.flushall()
    return cluster_servers


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real Postgres server, without a database name, that lives as long as the test session."""
    from tests import postgres_server

    programs = postgres_server.programs()
    if programs is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(postgres_server.NOT_HERE)
    with postgres_server.running(programs) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty Postgres database of this test's own."""
    import psycopg2

    name = f"test_{uuid4().hex}"
    connection = psycopg2.connect(f"{postgres_server}/postgres")
    connection.autocommit = True  # CREATE DATABASE takes no transaction
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return f"{postgres_server}/{name}"


@pytest.fixture
def small_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Spark session that a test starts, or finds, is a small one."""
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", SMALL_SPARK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, so that no worker is left with it alone at the end."""
    items.sort(key=lambda item: 0 if item.get_closest_marker("slow") else 1 if "/integration/" in item.nodeid else 2)


@pytest.fixture
def n_journal_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many rows of the journal's database were read since it was asked last."""
    from release.journal.postgres import PostgresConnection
    from release.journal.sqlite import SqliteConnection

    n_read = [0]

    def counting(read: Callable[..., list]) -> Callable[..., list]:
        def rows(self: object, sql: str, **parameters: object) -> list:
            answer = read(self, sql, **parameters)
            n_read[0] += len(answer)
            return answer

        return rows

    for connection in (SqliteConnection, PostgresConnection):
        monkeypatch.setattr(connection, "rows", counting(connection.rows))

    def since_asked_last() -> int:
        n, n_read[0] = n_read[0], 0
        return n

    return since_asked_last


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last, and in red, which tests were left out for want of something on this machine."""
    reports = terminalreporter.getreports("skipped")
    left_out = [report for report in reports if isinstance(report.longrepr, tuple) and LEFT_OUT in report.longrepr[2]]
    lines = [f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}" for report in left_out]
    if terminalreporter.config.args_source is pytest.Config.ArgsSource.TESTPATHS:  # everything was asked for
        from recommender.generators.deep.environments import TFRS

        lacks = "they are run by" if TFRS.is_made else f"{LEFT_OUT}TensorFlow Recommenders:"
        lines += [f"tests/tfrs: {lacks} `make test-tfrs`"]
    if lines:
        terminalreporter.section("left out", red=True, bold=True)
        for line in lines:
            terminalreporter.line(line, red=True)
