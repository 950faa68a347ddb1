"""Served traffic is collected exactly once in effect: killed, doubled, forgotten, and behind a stream that turned."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from cli.main import command_line
from contracts.errors import StoreError
from contracts.home import Home
from feature_store.online.connection import Client, connect
from feature_store.online.event_stream import StreamCursor
from feature_store.online.keys import events_key, events_written_key
from pipelines import traffic_collection as traffic
from pipelines.traffic_collection import collect_traffic, collected_days, link_traffic, traffic_store
from tests.canary_worlds import click, impression

APP = "movies"
TOP = Path(__file__).resolve().parents[3]
PARAMS = TOP / "params.yaml"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with closing(connect(redis_url)) as client:
        yield client


@pytest.fixture(autouse=True)
def short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "BATCH_LENGTH", 5)
    monkeypatch.setattr(traffic, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(traffic, "read_next", lambda *cursor: READ(*cursor, 5))


READ = traffic.read_next


def write(client: Client, n_requests: int, first: int = 0) -> None:
    """Requests of two impressions and a click, one an hour, as the event log writes them."""
    records = []
    for number in range(first, first + n_requests):
        at = {"event_ts": (NOON + timedelta(hours=number)).isoformat()}
        ids = [{"event_id": f"q{number}:{position}", **at} for position in (1, 2)]
        records += [impression(f"q{number}", position, **ids[position - 1]) for position in (1, 2)]
        records.append(click(f"q{number}", **at))
    with client.pipeline(transaction=True) as pipeline:
        for record in records:
            pipeline.xadd(events_key(APP), {"record": record})
        pipeline.incrby(events_written_key(APP), len(records))
        pipeline.execute()


def partitions(home: Home) -> dict[str, bytes]:
    store = traffic_store(home, APP)
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*.parquet"))}


def test_every_record_comes_once_in_the_files_of_its_day(client: Client, home: Home) -> None:
    write(client, 20)
    collected = collect_traffic(client, home, APP)
    assert collected.to_json() == {
        "read": 60,
        "new": {"impressions": 40, "interactions": 20, "unreadable": 0},
        "days": ["2026-11-24", "2026-11-25"],
        "lost": 0,
        "other_stream": False,
    }
    assert [(one.day, one.rows["impressions"], one.rows["interactions"]) for one in collected_days(home, APP)] == [
        ("2026-11-24", 24, 12),
        ("2026-11-25", 16, 8),
    ]
    collected.raise_losses()


def test_the_next_collection_goes_on_and_the_same_records_again_change_no_byte(client: Client, home: Home) -> None:
    write(client, 4)
    collect_traffic(client, home, APP)
    before = partitions(home)
    assert collect_traffic(client, home, APP).n_read == 0
    (traffic_store(home, APP) / "place.json").unlink()
    again = collect_traffic(client, home, APP)
    assert (again.n_read, again.days) == (12, set())
    (traffic_store(home, APP) / "place.json").write_text("{")
    assert collect_traffic(client, home, APP).n_read == 12
    assert collect_traffic(client, home, APP, from_start=True).n_read == 12
    assert partitions(home) == before
    write(client, 1, first=4)
    assert collect_traffic(client, home, APP).n_read == 3


def test_a_record_written_twice_counts_once(client: Client, home: Home) -> None:
    write(client, 3)
    write(client, 3)
    assert collect_traffic(client, home, APP).rows == {"impressions": 6, "interactions": 3}


@pytest.mark.parametrize("strikes_after", [False, True])
def test_a_collector_that_ends_at_any_point_loses_and_doubles_nothing(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, strikes_after: bool
) -> None:
    write(client, 20)
    expected_home = Home(tmp_path / "expected")
    collect_traffic(client, expected_home, APP)
    replace, n_deaths, is_done = Path.replace, 0, False
    while not is_done:
        home, left = Home(tmp_path / f"home-{n_deaths}"), n_deaths

        def mortal(path: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0 and not strikes_after:
                raise KeyboardInterrupt
            moved = replace(path, target)
            if left < 0:
                raise KeyboardInterrupt
            return moved

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", mortal)
            try:
                collect_traffic(client, home, APP)
                is_done = True
            except KeyboardInterrupt:
                n_deaths += 1
        collect_traffic(client, home, APP)
        assert partitions(home) == partitions(expected_home)
    assert n_deaths > 10


# Collects ten records at a time, and is killed as nobody can catch it: before or after its n-th file is put in place.
KILLED = """
import os, signal, sys
from pathlib import Path
from contracts.home import Home
from feature_store.online.connection import connect
from pipelines import traffic_collection as traffic

url, home, strikes_at, when = sys.argv[1:]
left, replace, read = int(strikes_at), Path.replace, traffic.read_next
traffic.BATCH_LENGTH, traffic.ROWS_AT_ONCE = 5, 10
traffic.read_next = lambda *place: read(*place, 5)

def mortal(path, target):
    global left
    left -= 1
    if left < 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    moved = replace(path, target)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return moved

Path.replace = mortal
with connect(url) as client:
    traffic.collect_traffic(client, Home(Path(home)), "movies")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_collector_that_is_killed_leaves_what_the_next_one_finishes(
    client: Client, tmp_path: Path, redis_url: str, when: str
) -> None:
    write(client, 20)
    expected_home = Home(tmp_path / "expected")
    collect_traffic(client, expected_home, APP)
    for strikes_at in (0, 1, 2, 4, 7):
        home = Home(tmp_path / f"home-{strikes_at}")
        arguments = [redis_url, str(home.root), str(strikes_at), when]
        died = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=TOP, check=False)
        assert died.returncode == -signal.SIGKILL
        collect_traffic(client, home, APP)
        assert partitions(home) == partitions(expected_home)


def test_two_collectors_at_once_do_the_work_of_one(client: Client, home: Home, redis_url: str) -> None:
    write(client, 20)
    done = []

    def collect() -> None:
        with closing(connect(redis_url)) as own:
            done.append(collect_traffic(own, home, APP))

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.rows["impressions"] for one in done) == 40
    assert sorted(one.n_read for one in done) == [0, 60]


def test_a_stream_that_turned_faster_than_somebody_came_says_how_many_are_lost(client: Client, home: Home) -> None:
    write(client, 2)
    collect_traffic(client, home, APP)
    write(client, 4, first=2)
    client.xtrim(events_key(APP), maxlen=5, approximate=False)
    collected = collect_traffic(client, home, APP)
    assert (collected.n_read, collected.n_lost) == (5, 7)
    with pytest.raises(StoreError, match="7 records were cut off"):
        collected.raise_losses()
    assert collect_traffic(client, home, APP).n_lost == 0, "a loss is told once"


def test_a_second_loss_is_counted_from_where_the_first_one_ended(client: Client, home: Home) -> None:
    for n_requests, first in ((1, 0), (4, 1), (3, 5)):
        write(client, n_requests, first=first)
        client.xtrim(events_key(APP), maxlen=5, approximate=False)
        collected = collect_traffic(client, home, APP)
    # 24 were written in all: 3 read, 7 lost, 5 read, 4 lost, 5 read.
    assert (collected.n_read, collected.n_lost, collected.is_other) == (5, 4, False)


def test_another_stream_is_told_by_a_single_record_too(client: Client) -> None:
    client.xadd(events_key(APP), {"record": b"old"})
    client.incr(events_written_key(APP))
    cursor = READ(client, events_key(APP), events_written_key(APP), StreamCursor()).cursor
    assert cursor.number == 1
    client.flushall()
    client.xadd(events_key(APP), {"record": b"new"})
    client.incr(events_written_key(APP))
    found = READ(client, events_key(APP), events_written_key(APP), cursor)
    assert (found.records, found.is_other, found.n_lost) == ((b"new",), True, 0)


def test_what_is_cut_off_behind_the_collector_is_no_loss(client: Client, home: Home) -> None:
    write(client, 2)
    collect_traffic(client, home, APP)
    client.xtrim(events_key(APP), maxlen=0, approximate=False)
    write(client, 1, first=2)
    collected = collect_traffic(client, home, APP)
    assert (collected.n_read, collected.n_lost, collected.is_other) == (3, 0, False)


def test_a_redis_that_was_emptied_is_told_and_read_from_its_beginning(client: Client, home: Home) -> None:
    write(client, 3)
    collect_traffic(client, home, APP)
    client.flushall()
    write(client, 2, first=3)
    collected = collect_traffic(client, home, APP)
    assert (collected.rows["impressions"], collected.is_other) == (4, True)
    with pytest.raises(StoreError, match="not the one that was read last"):
        collected.raise_losses()
    assert not collect_traffic(client, home, APP).is_other


def test_what_is_no_record_is_kept_and_counted(client: Client, home: Home) -> None:
    client.xadd(events_key(APP), {"record": orjson.dumps({"event_type": "click"})})
    assert collect_traffic(client, home, APP).rows == {"unreadable": 1}
    assert collect_traffic(client, home, APP, from_start=True).rows == {}


def test_a_workspace_keeps_the_days_it_was_brought_while_they_are_collected_anew(
    client: Client, home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "traffic"
    assert link_traffic(home, APP, folder) == []
    write(client, 1)
    collect_traffic(client, home, APP)
    assert link_traffic(home, APP, folder) == ["day=2026-11-24"]
    assert link_traffic(home, APP, folder) == []
    brought = (folder / APP / "impressions" / "day=2026-11-24.parquet").read_bytes()
    write(client, 1, first=1)
    collect_traffic(client, home, APP)
    assert (folder / APP / "impressions" / "day=2026-11-24.parquet").read_bytes() == brought
    assert link_traffic(home, APP, folder) == ["day=2026-11-24"]
    assert (folder / APP / "impressions" / "day=2026-11-24.parquet").read_bytes() != brought


def test_the_command_line_collects_into_the_workspace_and_tells_the_days(
    client: Client, home: Home, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    monkeypatch.chdir(tmp_path)
    write(client, 1)
    said = CliRunner().invoke(command_line(), ["traffic", "collect", "--json"], catch_exceptions=False).stdout
    assert json.loads(said)["new"] == {"impressions": 2, "interactions": 1, "unreadable": 0}
    brought = tmp_path / "traffic" / APP
    assert sorted(path.parent.name for path in brought.rglob("day=2026-11-24.parquet")) == list(traffic.TABLES)
    told = json.loads(
        CliRunner().invoke(command_line(), ["traffic", "status", "--json"], catch_exceptions=False).stdout
    )
    day = {"day": "2026-11-24", "impressions": 2, "interactions": 1, "unreadable": 0}
    assert told == {"days": [day], "lost": 0, "other_streams": 0}
