"""The event log against a real Redis: in order, nothing lost while it is away, never in anybody's way."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from cli.doctor import _redis_on_disk
from contracts.errors import StoreError, StoreUnavailable
from contracts.home import Home
from contracts.settings.serving import ServingSettings
from contracts.settings.settings import load_settings
from contracts.slates import Preferences, RecommendRequest
from feature_store.online.connection import connect
from feature_store.online.keys import event_id_key, events_key, events_written_key, requests_key
from feature_store.online.stream_writes import StreamRecord, write_records
from feature_store.server import embedded_redis
from feature_store.server.server_program import free_port, server_command
from serving.logs.capped_stream import QUEUE_LENGTH as N_QUESTIONS
from serving.logs.event_log import BATCH_LENGTH, QUEUE_LENGTH, EventLog
from serving.logs.record_spool import RecordSpool
from serving.logs.request_log import RequestLog
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics
from serving.served import Arm
from tests.integration.serving.worlds import wait_until

CHECKOUT = Path(__file__).resolve().parents[3]
HOUR = 3600


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
def requests(switch: Switch, metrics: Metrics) -> RequestLog:
    return RequestLog(switch, "movies", 100, metrics)


def serving_settings() -> ServingSettings:
    return load_settings(CHECKOUT / "params.yaml").serving


@pytest.fixture
def values(switch: Switch, metrics: Metrics) -> ValuesLog:
    return ValuesLog(switch, "movies", serving_settings(), metrics)


@pytest.fixture
def log(switch: Switch, metrics: Metrics, spool_path: Path, requests: RequestLog, values: ValuesLog) -> EventLog:
    return EventLog(switch, "movies", RecordSpool(spool_path, 10_000), metrics, requests, values, HOUR)


def record(number: int) -> dict[str, Any]:
    return {"event_id": str(number), "event_type": "click"}


def taken(records: Sequence[dict[str, Any]]) -> tuple[int, Callable[[], list[bytes]]]:
    """What the log is handed of records that it makes when it writes them."""
    return len(records), lambda: EventLog.encoded(records)


def logged(switch: Switch) -> list[int]:
    entries = switch.client.xrange(events_key("movies"))
    return [int(orjson.loads(fields[b"record"])["event_id"]) for _, fields in entries]


def outcome(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value("slate_log_records_total", {"outcome": name}) or 0.0


def test_records_are_written_in_order(log: EventLog, switch: Switch, metrics: Metrics) -> None:
    log.append(*taken([record(1), record(2)]))
    log.append(*taken([record(3)]))
    assert log.write_waiting() == 3
    assert logged(switch) == [1, 2, 3]
    assert outcome(metrics, "written") == 3


def test_what_happens_while_redis_is_away_is_written_first_when_it_is_back(
    log: EventLog, switch: Switch, metrics: Metrics, spool_path: Path
) -> None:
    switch.away = True
    log.append(*taken([record(1), record(2)]))
    log.write_waiting()
    assert outcome(metrics, "spooled") == 2
    switch.away = False
    log.append(*taken([record(3)]))
    log.write_waiting()
    assert logged(switch) == [1, 2, 3]
    assert outcome(metrics, "written") == 3
    assert not spool_path.exists()


def test_a_quiet_log_writes_what_was_spooled(log: EventLog, switch: Switch) -> None:
    switch.away = True
    log.append(*taken([record(1)]))
    log.write_waiting()
    switch.away = False
    assert log.write_waiting() == 0
    assert logged(switch) == [1]


def test_what_a_stopped_server_spooled_is_written_by_the_next_one(
    log: EventLog, switch: Switch, metrics: Metrics, spool_path: Path, requests: RequestLog, values: ValuesLog
) -> None:
    switch.away = True
    log.start()
    log.append(*taken([record(1)]))
    log.close()
    switch.away = False
    EventLog(switch, "movies", RecordSpool(spool_path, 10_000), metrics, requests, values, HOUR).write_waiting()
    assert logged(switch) == [1]


def test_a_line_of_the_spool_that_changed_is_left_out_and_counted(
    log: EventLog, switch: Switch, metrics: Metrics, spool_path: Path
) -> None:
    switch.away = True
    log.append(*taken([record(1), record(2)]))
    log.write_waiting()
    spool_path.write_bytes(spool_path.read_bytes().replace(b'"1"', b'"7"'))
    switch.away = False
    log.write_waiting()
    assert logged(switch) == [2]
    assert (outcome(metrics, "damaged"), outcome(metrics, "written")) == (1, 1)


def test_a_full_spool_drops_and_counts(
    switch: Switch, metrics: Metrics, spool_path: Path, requests: RequestLog, values: ValuesLog
) -> None:
    line = orjson.dumps(record(1))
    log = EventLog(switch, "movies", RecordSpool(spool_path, 2 * (9 + len(line) + 1)), metrics, requests, values, HOUR)
    switch.away = True
    log.append(*taken([record(1), record(2), record(3)]))
    log.write_waiting()
    assert (outcome(metrics, "spooled"), outcome(metrics, "dropped")) == (2, 1)


def test_a_disk_that_refuses_drops_and_counts(
    switch: Switch, metrics: Metrics, tmp_path: Path, requests: RequestLog, values: ValuesLog
) -> None:
    (tmp_path / "serving").write_text("a file where the folder should be")
    log = EventLog(switch, "movies", RecordSpool(tmp_path / "serving" / "spool", 1000), metrics, requests, values, HOUR)
    switch.away = True
    log.append(*taken([record(1)]))
    log.write_waiting()
    assert outcome(metrics, "dropped") == 1


def test_a_redis_that_refuses_writes_leaves_the_records_in_the_spool(
    log: EventLog, switch: Switch, metrics: Metrics
) -> None:
    switch.client.set(events_key("movies"), "no stream")
    log.append(*taken([record(1)]))
    log.write_waiting()
    assert outcome(metrics, "spooled") == 1
    switch.client.delete(events_key("movies"))
    log.write_waiting()
    assert logged(switch) == [1]


def test_a_full_queue_drops_and_counts_and_never_waits(log: EventLog, metrics: Metrics) -> None:
    log.append(*taken([record(1)] * (QUEUE_LENGTH + 2)))
    assert outcome(metrics, "dropped") == 2
    log.append(1, lambda: pytest.fail("nothing is made of what was dropped"))
    assert outcome(metrics, "dropped") == 3
    assert log.write_waiting() == QUEUE_LENGTH
    log.append(*taken([record(2)]))  # there is room again
    assert log.write_waiting() == 1
    assert outcome(metrics, "dropped") == 3


def test_records_are_made_when_they_are_written(log: EventLog, switch: Switch) -> None:
    made: list[int] = []

    def make(number: int) -> list[bytes]:
        made.append(number)
        return log.encoded([record(number)])

    for number in (1, 2):
        log.append(1, partial(make, number))
    assert made == []
    log.write_waiting()
    assert made == logged(switch) == [1, 2]


def test_closing_writes_everything_taken(log: EventLog, switch: Switch) -> None:
    n_records = BATCH_LENGTH + 1
    log.append(*taken([record(number) for number in range(n_records)]))
    log.start()
    log.close()
    assert logged(switch) == list(range(n_records))


def named(number: int, name: str) -> dict[str, Any]:
    return {**record(number), "event_id": f"sent:{name}"}


def names_logged(switch: Switch) -> list[str]:
    entries = switch.client.xrange(events_key("movies"))
    return [orjson.loads(fields[b"record"])["event_id"] for _, fields in entries]


def test_an_event_that_is_kept_is_in_redis_before_anything_else_happens(log: EventLog, switch: Switch) -> None:
    assert log.keep([record(1), record(2)]) == [True, True]
    assert logged(switch) == [1, 2]
    assert switch.client.get(events_written_key("movies")) == b"2"


def test_an_event_that_is_kept_while_redis_is_away_outlives_the_process(
    log: EventLog, switch: Switch, spool_path: Path
) -> None:
    switch.away = True
    assert log.keep([record(1)]) == [True]
    left: list[bytes] = []
    RecordSpool(spool_path, 10_000).ship(left.extend)  # as the next process finds it after a kill
    assert [orjson.loads(one)["event_id"] for one in left] == ["1"]


def test_what_was_shown_before_an_event_is_written_before_it(log: EventLog, switch: Switch) -> None:
    log.append(*taken([record(1), record(2)]))
    assert log.keep([record(3)]) == [True]
    assert logged(switch) == [1, 2, 3]


def test_an_event_waits_behind_older_ones_that_still_wait(log: EventLog, switch: Switch) -> None:
    switch.away = True
    log.keep([record(1)])
    switch.away = False
    log.keep([record(2)])
    assert logged(switch) == []
    log.write_waiting()
    assert logged(switch) == [1, 2]


def test_events_that_neither_redis_nor_the_disk_takes_are_refused_as_a_whole(
    switch: Switch, metrics: Metrics, spool_path: Path, requests: RequestLog, values: ValuesLog
) -> None:
    line = orjson.dumps(record(1))
    spool = RecordSpool(spool_path, 2 * (9 + len(line) + 1))
    log = EventLog(switch, "movies", spool, metrics, requests, values, HOUR)
    switch.away = True
    log.keep([record(1)])
    with pytest.raises(StoreUnavailable, match=r"neither by Redis .* nor by the disk"):
        log.keep([record(2), record(3)])
    assert outcome(metrics, "refused") == 2
    log.keep([record(4)])
    switch.away = False
    log.write_waiting()
    assert logged(switch) == [1, 4]


def test_an_event_of_a_name_that_was_taken_before_is_not_written_again(log: EventLog, switch: Switch) -> None:
    assert log.keep([named(1, "a"), named(2, "b"), named(3, "a")]) == [True, True, False]
    assert log.keep([named(4, "b"), record(5)]) == [False, True]
    assert names_logged(switch) == ["sent:a", "sent:b", "5"]
    assert 0 < switch.client.ttl(event_id_key("movies", "a")) <= HOUR


def test_an_event_sent_again_while_redis_is_away_is_written_once(log: EventLog, switch: Switch) -> None:
    log.keep([named(1, "a")])
    switch.away = True
    log.keep([named(2, "a"), named(3, "b")])
    log.keep([named(4, "b")])
    switch.away = False
    log.write_waiting()
    assert names_logged(switch) == ["sent:a", "sent:b"]


def test_a_name_whose_record_was_refused_is_not_remembered(log: EventLog, switch: Switch) -> None:
    switch.client.set(events_key("movies"), "no stream")
    log.keep([named(1, "a")])
    switch.client.delete(events_key("movies"))
    log.write_waiting()
    assert names_logged(switch) == ["sent:a"]


QUESTION = RecommendRequest("q1", "u1", preferences=Preferences(("drama",)), context={"age": "34"}, k=5, seed=7)


def questions(switch: Switch) -> list[dict[str, Any]]:
    return [orjson.loads(fields[b"record"]) for _, fields in switch.client.xrange(requests_key("movies"))]


def asked(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("slate_request_log_records_total", {"outcome": outcome}) or 0.0


def test_a_question_is_kept_with_everything_needed_to_ask_it_again(
    log: EventLog, switch: Switch, metrics: Metrics
) -> None:
    log.requests.append(QUESTION, Arm.CANARY, datetime(2020, 4, 10, 12, tzinfo=UTC))
    log.write_waiting()
    [kept] = questions(switch)
    assert (kept["ts"], kept["arm"]) == ("2020-04-10T12:00:00+00:00", "canary")
    everything = json.loads(json.dumps(asdict(QUESTION)))
    left_out = {name: everything.pop(name) for name in ("filter", "placement", "without_rules")}
    assert left_out == {"filter": None, "placement": None, "without_rules": []}  # where there is none
    assert kept["request"] == everything
    assert asked(metrics, "written") == 1


def test_only_about_the_latest_questions_are_kept(log: EventLog, switch: Switch) -> None:
    for number in range(1000):
        log.requests.append(replace(QUESTION, request_id=str(number)), Arm.PRODUCTION, datetime.now(UTC))
        if number % 100 == 99:
            log.write_waiting()
    kept = questions(switch)
    assert kept[-1]["request"]["request_id"] == "999"
    assert 100 <= len(kept) <= 300  # Redis cuts whole nodes of a stream, 100 entries each


def test_questions_that_redis_does_not_take_are_dropped_and_counted_and_delay_no_event(
    log: EventLog, switch: Switch, metrics: Metrics
) -> None:
    switch.away = True
    log.append(*taken([record(1)]))
    log.requests.append(QUESTION, Arm.PRODUCTION, datetime.now(UTC))
    log.write_waiting()
    assert asked(metrics, "dropped") == 1
    switch.away = False
    log.write_waiting()
    assert (logged(switch), questions(switch)) == ([1], [])


def test_one_question_too_many_is_dropped_and_counted(log: EventLog, metrics: Metrics) -> None:
    for _ in range(N_QUESTIONS + 2):
        log.requests.append(QUESTION, Arm.PRODUCTION, datetime.now(UTC))
    assert asked(metrics, "dropped") == 2


def test_a_request_log_of_no_length_keeps_nobodys_questions(switch: Switch, metrics: Metrics) -> None:
    requests = RequestLog(switch, "movies", 0, metrics)
    requests.append(QUESTION, Arm.PRODUCTION, datetime.now(UTC))
    requests.write_waiting()
    assert not switch.client.exists(requests_key("movies"))


@pytest.fixture
def own_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home with a Redis of its own, always on one port, which is stopped afterwards."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("SLATE_REDIS_PORT", str(free_port()))
    yield home
    embedded_redis.stop(home)


def test_acknowledged_events_live_through_the_death_of_redis_and_none_is_doubled(
    own_home: Home, metrics: Metrics, spool_path: Path
) -> None:
    switch = Switch(embedded_redis.start(own_home))
    others = RequestLog(switch, "movies", 100, metrics), ValuesLog(switch, "movies", serving_settings(), metrics)
    log = EventLog(switch, "movies", RecordSpool(spool_path, 1_000_000), metrics, *others, HOUR)
    acknowledged: list[str] = []
    process_id = switch.client.info("server")["process_id"]

    def send(sender: int) -> None:
        for number in range(100):
            log.keep([named(number, name := f"{sender}-{number}")])
            acknowledged.append(f"sent:{name}")
            if len(acknowledged) == 150:
                os.kill(process_id, signal.SIGKILL)

    with ThreadPoolExecutor(4) as senders:
        list(senders.map(send, range(4)))
    assert outcome(metrics, "spooled") >= 100, "it died in the middle"
    embedded_redis.start(own_home)
    log.write_waiting()
    assert sorted(names_logged(switch)) == sorted(acknowledged)
    assert switch.client.get(events_written_key("movies")) == b"400"
    switch.client.close()


@contextmanager
def redis_that_may_be_limited(home: Home) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis that is refused a write past the limit of its files' size, where others are ended by a signal."""
    home.redis.mkdir(parents=True)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    (home.redis / "url").write_text(url)
    with subprocess.Popen(server_command(home.redis, port), restore_signals=False) as process:
        try:
            wait_until(lambda: answers(url))
            yield url, process
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        connect(url).close()
    except StoreUnavailable:
        return False
    return True


def test_where_the_disk_of_redis_is_full_events_wait_and_are_written_once_there_is_room(
    home: Home, metrics: Metrics, spool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_that_may_be_limited(home) as (url, process):
        switch = Switch(url)
        others = RequestLog(switch, "movies", 100, metrics), ValuesLog(switch, "movies", serving_settings(), metrics)
        log = EventLog(switch, "movies", RecordSpool(spool_path, 1_000_000), metrics, *others, HOUR)
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10_000, most))
        n_kept = 0
        while not outcome(metrics, "spooled"):
            log.keep([named(n_kept, str(n_kept))])
            n_kept += 1
        with pytest.raises(StoreError, match=r"cannot write to its disk: .*MISCONF.*\n.*Free disk space") as refused:
            write_records(switch.client, "movies", [StreamRecord(b"{}")], max_length=10, remembered_s=10)
        assert "by itself" in refused.value.next_step
        assert embedded_redis.running(home) == url
        monkeypatch.setenv("REDIS_URL", url)
        assert (_redis_on_disk().state, "refuses writes" in _redis_on_disk().found) == ("missing", True)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        wait_until(lambda: log.write_waiting() == 0 and not log._spool)
        assert _redis_on_disk().state == "ok"
        assert names_logged(switch) == [f"sent:{number}" for number in range(n_kept)]
        switch.client.close()


def test_the_doctor_tells_of_a_redis_that_keeps_no_append_only_file(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(embedded_redis.start(own_home)) as client:
        client.config_set("appendonly", "no")
    assert (_redis_on_disk().state, "`slate down; slate up`" in _redis_on_disk().next_step) == ("optional", True)
    monkeypatch.setenv("REDIS_URL", str(embedded_redis.running(own_home)))
    assert "lost" in _redis_on_disk().found
    assert "config set appendonly yes" in _redis_on_disk().next_step
    monkeypatch.delenv("REDIS_URL")
