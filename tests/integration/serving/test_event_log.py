"""The event log against a real Redis: in order, nothing lost while it is away, never in anybody's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from contracts.errors import StoreUnavailable
from feature_store.connection import connect
from serving.event_log import BATCH_LENGTH, QUEUE_LENGTH, EventLog, stream_key
from serving.metrics import Metrics
from serving.spool import Spool


class Switch:
    """Connects to Redis unless it is told that Redis is away."""

    def __init__(self, url: str) -> None:
        self.client = connect(url)
        self.away = False

    def __call__(self) -> redis.Redis:
        if self.away:
            raise StoreUnavailable("Redis cannot be reached.", "Start it.")
        return self.client


@pytest.fixture
def switch(redis_url: str) -> Any:
    switch = Switch(redis_url)
    yield switch
    switch.client.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    return tmp_path / "movies.events.jsonl"


@pytest.fixture
def log(switch: Switch, metrics: Metrics, spool_path: Path) -> EventLog:
    return EventLog(switch, "movies", Spool(spool_path, 10_000), metrics)


def record(number: int) -> dict[str, Any]:
    return {"event_id": str(number), "event_type": "click"}


def logged(switch: Switch) -> list[int]:
    entries = switch.client.xrange(stream_key("movies"))
    return [int(orjson.loads(fields[b"record"])["event_id"]) for _, fields in entries]


def outcome(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value("slate_log_records_total", {"outcome": name}) or 0.0


def test_records_are_written_in_order(log: EventLog, switch: Switch, metrics: Metrics) -> None:
    log.append([record(1), record(2)])
    log.append([record(3)])
    assert log.write_waiting() == 3
    assert logged(switch) == [1, 2, 3]
    assert outcome(metrics, "written") == 3


def test_what_happens_while_redis_is_away_is_written_first_when_it_is_back(
    log: EventLog, switch: Switch, metrics: Metrics, spool_path: Path
) -> None:
    switch.away = True
    log.append([record(1), record(2)])
    log.write_waiting()
    assert outcome(metrics, "spooled") == 2
    switch.away = False
    log.append([record(3)])
    log.write_waiting()
    assert logged(switch) == [1, 2, 3]
    assert outcome(metrics, "written") == 3
    assert not spool_path.exists()


def test_a_quiet_log_writes_what_was_spooled(log: EventLog, switch: Switch) -> None:
    switch.away = True
    log.append([record(1)])
    log.write_waiting()
    switch.away = False
    assert log.write_waiting() == 0
    assert logged(switch) == [1]


def test_what_a_stopped_server_spooled_is_written_by_the_next_one(
    log: EventLog, switch: Switch, metrics: Metrics, spool_path: Path
) -> None:
    switch.away = True
    log.start()
    log.append([record(1)])
    log.close()
    switch.away = False
    EventLog(switch, "movies", Spool(spool_path, 10_000), metrics).write_waiting()
    assert logged(switch) == [1]


def test_a_full_spool_drops_and_counts(switch: Switch, metrics: Metrics, spool_path: Path) -> None:
    line = orjson.dumps(record(1))
    log = EventLog(switch, "movies", Spool(spool_path, 2 * (len(line) + 1)), metrics)
    switch.away = True
    log.append([record(1), record(2), record(3)])
    log.write_waiting()
    assert (outcome(metrics, "spooled"), outcome(metrics, "dropped")) == (2, 1)


def test_a_disk_that_refuses_drops_and_counts(switch: Switch, metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "serving").write_text("a file where the folder should be")
    log = EventLog(switch, "movies", Spool(tmp_path / "serving" / "spool", 1000), metrics)
    switch.away = True
    log.append([record(1)])
    log.write_waiting()
    assert outcome(metrics, "dropped") == 1


def test_a_redis_that_refuses_writes_leaves_the_records_in_the_spool(
    log: EventLog, switch: Switch, metrics: Metrics
) -> None:
    switch.client.set(stream_key("movies"), "no stream")
    log.append([record(1)])
    log.write_waiting()
    assert outcome(metrics, "spooled") == 1
    switch.client.delete(stream_key("movies"))
    log.write_waiting()
    assert logged(switch) == [1]


def test_a_full_queue_drops_and_counts_and_never_waits(log: EventLog, metrics: Metrics) -> None:
    log.append([record(1)] * (QUEUE_LENGTH + 2))
    assert outcome(metrics, "dropped") == 2


def test_closing_writes_everything_taken(log: EventLog, switch: Switch) -> None:
    n_records = 2 * BATCH_LENGTH + 1
    log.append([record(number) for number in range(n_records)])
    log.start()
    log.close()
    assert logged(switch) == list(range(n_records))
