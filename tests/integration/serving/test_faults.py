"""Faults that were silent or did not heal, made on purpose: the lines of docs/faults.md that a running server shows."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.doctor import _published_values
from contracts.events import EventType
from contracts.ids import ItemId
from feature_store.online.keys import histories_key, items_key, recent_key, users_key
from feature_store.online.packing import HEADER, SEAL
from feature_store.online.recent_events import RecentEvent, pack_event
from feature_store.publishing.completeness import missing_values
from feature_store.server.server_program import free_port
from serving.http.app import create_app
from serving.served import Served
from serving.wire import MAX_HEAD_BYTES
from tests.integration.serving.test_command_line import checkout, running
from tests.integration.serving.worlds import Stage, ask, fetch, listening, published, wait_until
from tests.logged import logged_records

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

__all__ = ["checkout"]

CHECKOUT = Path(__file__).resolve().parents[3]
PEOPLE = ("u500", "u501", "u502")


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """The first of the two in production, counted all the time."""
    stage.point_at(0)
    return stage.with_serving(values_check_s=0.05)


def told(client: Any, person: str) -> tuple[str, list[str]]:
    slate = ask(client, user_id=person)
    return slate["tier"], slate["degraded"]


def lose_values(stage: Stage) -> None:
    """Every value of the generation in production, and not its receipt."""
    app, generation_id = stage.settings.app, stage.pairs[0][1]
    patterns = [f"{key(app, generation_id)}*" for key in (users_key, histories_key, items_key)]
    keys = [key for pattern in patterns for key in stage.redis.scan_iter(match=pattern.replace("[", "?"))]
    assert len(keys) >= 5
    stage.redis.delete(*keys)


def readiness(client: Any) -> dict[str, Any]:
    ready: dict[str, Any] = client.get("/readyz").json()
    return ready


def test_values_lost_while_the_receipt_stays_are_told_and_heal_without_a_restart(stage: Stage) -> None:
    with stage.client() as client:
        assert [told(client, person) for person in PEOPLE] == [("personal", [])] * 3
        lose_values(stage)
        assert [told(client, person) for person in PEOPLE] == [("popular", ["features"])] * 3
        wait_until(lambda: "60 of 60 people, 40 of 40 items" in str(readiness(client)["problem"]))
        ready = readiness(client)
        assert (ready["degraded"], ready["problem"]["error"]) == (["values"], "PublishIncomplete")
        assert "`slate sync`" in ready["problem"]["next_step"]
        wait_until(lambda: 'slate_problem{arm="production"} 1.0' in client.get("/metrics").text)  # by the next look
        published(stage.home, stage.settings, stage.redis)
        assert [told(client, person) for person in PEOPLE] == [("personal", [])] * 3
        wait_until(lambda: readiness(client)["problem"] is None)
        assert readiness(client)["degraded"] == []


def test_the_doctor_counts_the_values_in_production(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    assert _published_values().state == "ok"
    lose_values(stage)
    lacking = _published_values()
    assert (lacking.state, "60 of 60 people" in lacking.found) == ("missing", True)
    assert "`slate sync`" in lacking.next_step


def test_a_newcomer_is_not_degraded_by_being_unknown(stage: Stage) -> None:
    with stage.client() as client:
        assert told(client, "never seen before") == ("popular", [])


def test_one_persons_row_that_is_lost_shows_in_their_answer_and_in_the_count(stage: Stage) -> None:
    app, (release_id, generation_id) = stage.settings.app, stage.pairs[0]
    stage.redis.hdel(users_key(app, generation_id, 0), "u500")
    with stage.client() as client:
        assert told(client, "u500") == ("personal", ["features"])  # the history is there
        assert told(client, "u501") == ("personal", [])
    problem = missing_values(stage.redis, app, generation_id, release_id)
    assert problem is not None
    assert "lacks 1 of 60 people in" in problem.problem


def test_a_server_that_starts_while_the_lists_of_buckets_are_away_needs_no_restart(stage: Stage) -> None:
    app, generation_id = stage.settings.app, stage.pairs[0][1]
    lists = {key: stage.redis.get(key) for key in (users_key(app, generation_id), histories_key(app, generation_id))}
    stage.redis.delete(*lists)
    with stage.client() as client:
        wait_until(lambda: "lacks 2 of 2 lists of buckets" in str(readiness(client)["problem"]))
        assert told(client, "nobody known") == ("popular", ["features"])  # who can tell?
        stage.redis.mset(lists)
        assert told(client, "nobody known") == ("popular", [])
        assert [told(client, person) for person in PEOPLE] == [("personal", [])] * 3
        wait_until(lambda: readiness(client)["problem"] is None)


def test_an_event_of_a_newer_version_is_left_out_by_the_reader_and_the_values_log(stage: Stage) -> None:
    packed = pack_event(RecentEvent(EventType.CLICK, ItemId("i1000"), 1_600_000_000_000_000, 0.0))
    stage.redis.rpush(recent_key(stage.settings.app, "u500"), packed[:3] + b"\x0e" + packed[4:])
    with stage.client() as client:
        assert told(client, "u500") == ("personal", [])


@pytest.mark.parametrize("damage", ["of NaN", "somebody else's"])
def test_a_damaged_row_is_not_served_as_if_right_and_is_told(stage: Stage, damage: str) -> None:
    app, generation_id = stage.settings.app, stage.pairs[0][1]
    key = users_key(app, generation_id, 0)
    row = stage.redis.hget(key, "u500")
    start = HEADER.size + SEAL.size
    of_nan = row[:start] + b"\x00\x00\xc0\x7f" * ((len(row) - start) // 4)
    stage.redis.hset(key, "u500", of_nan if damage == "of NaN" else stage.redis.hget(key, "u501"))
    with stage.client() as client:
        assert told(client, "u500") == ("personal", ["features"])
        wait_until(lambda: readiness(client)["degraded"] == ["values"])
        assert "u500" in readiness(client)["problem"]["message"]
        published(stage.home, stage.settings, stage.redis)
        assert told(client, "u500") == ("personal", [])
        wait_until(lambda: readiness(client)["problem"] is None)
    assert stage.redis.hget(key, "u500") == row


def hang_up_after_asking(port: int) -> socket.socket:
    """A client that asked for a slate and has not read its answer."""
    asking = socket.create_connection(("127.0.0.1", port))
    asking.sendall(b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
    asking.sendall(b"content-length: 2\r\n\r\n{}")
    return asking


def logged(stage: Stage, event_type: str) -> list[dict[str, Any]]:
    records = logged_records(stage.redis, stage.settings.app)
    return [record for record in records if record["event_type"] == event_type]


def test_past_what_is_answered_in_time_work_is_shed_before_requests_and_nothing_else_starves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer, under_way = threading.Event(), threading.Semaphore(0)
    answer = Served.answer_many

    def slowly(self: Served, *asked: Any) -> Any:
        under_way.release()
        may_answer.wait()
        return answer(self, *asked)

    monkeypatch.setattr(Served, "answer_many", slowly)
    stage = stage.with_serving(max_waiting=3)
    with listening(stage) as (api, port), ThreadPoolExecutor(16) as clients:
        working = hang_up_after_asking(port)
        under_way.acquire()
        waiting = hang_up_after_asking(port)
        wait_until(lambda: api.queue.n_waiting == 1)
        answered = [clients.submit(fetch, port, "POST", "/v1/recommend", {}) for _ in range(2)]
        wait_until(lambda: api.queue.n_waiting == 3)

        status, _, popular = fetch(port, "POST", "/v1/recommend", {"user_id": "u500"})
        assert (status, popular["degraded"], popular["policy_id"]) == (200, ["person"], "popular")
        most, api.queue.load.max_wait_ms = api.queue.load.max_wait_ms, 1e-6
        status, headers, refusal = fetch(port, "POST", "/v1/recommend", {})
        assert (status, headers["retry-after"], refusal["error"]) == (429, "1", "TooManyRequests")
        event = {"event_type": "click", "session_id": "s", "item_id": "i1000"}
        assert fetch(port, "POST", "/v1/events", event)[0] == 202
        assert [fetch(port, "GET", path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3

        api.queue.load.max_wait_ms = most
        working.close()
        waiting.close()
        may_answer.set()
        slates = [popular, *(one.result()[2] for one in answered)]
        wait_until(lambda: len(logged(stage, "impression")) == 10 * len(slates))
        metrics = fetch(port, "GET", "/metrics")[2].decode()
    shown = {record["request_id"] for record in logged(stage, "impression")}
    assert shown == {slate["request_id"] for slate in slates}  # and of nobody who had gone
    assert 'slate_unanswered_total{why="client_gone"} 2.0' in metrics
    assert 'slate_unanswered_total{why="too_late"} 1.0' in metrics
    assert 'slate_degraded_total{arm="production",what="person"} 1.0' in metrics
    assert "slate_answered_together_count" in metrics
    assert 'slate_request_log_records_total{outcome="dropped"} 1.0' in metrics  # of what is shed no question is kept
    assert "slate_loop_lag_seconds_count" in metrics
    shed = {record["request_id"] for record in logged(stage, "impression") if record["policy_id"] == "popular"}
    assert shed == {popular["request_id"]}  # whoever learns from impressions sees which were shed


def test_headers_without_an_end_and_connections_that_say_nothing_are_closed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.http.bounded_http.HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr("serving.http.app.BODY_WITHIN_S", 0.2)
    with listening(stage) as (_, port):
        with socket.create_connection(("127.0.0.1", port)) as silent:
            assert silent.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port)) as endless:
            endless.sendall(b"GET /healthz HTTP/1.1\r\nx: " + b"y" * (2 * MAX_HEAD_BYTES))
            assert endless.recv(100).startswith(b"HTTP/1.1 431 ")
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
            slow.sendall(b"content-length: 10\r\n\r\n{")
            assert slow.makefile("rb").read().startswith(b"HTTP/1.1 408 ")  # and then it is closed
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as kept:
            for _ in range(3):
                kept.request("GET", "/healthz")
                assert kept.getresponse().read() == b'{"status":"ok"}'


def test_a_full_batch_in_one_packet_is_no_header_that_is_too_long(stage: Stage) -> None:
    batch = [{"event_type": "click", "session_id": "s" * 200, "item_id": "i1000"} for _ in range(500)]
    with listening(stage) as (_, port):
        status, _, answer = fetch(port, "POST", "/v1/events", {"events": batch})
    assert (status, answer["accepted"]) == (202, 500)


def test_head_is_answered_by_the_probes_as_get_is_without_a_body(stage: Stage) -> None:
    with listening(stage) as (_, port):
        for path in ("/healthz", "/readyz"):
            assert fetch(port, "HEAD", path)[0::2] == (200, b"")


def test_an_event_sent_again_under_the_same_id_counts_once(stage: Stage) -> None:
    event = {"event_id": "e-1", "event_type": "click", "user_id": "u500", "item_id": "i1000"}
    with stage.client() as client:
        first, again = (client.post("/v1/events", json=event).json() for _ in range(2))
        batch = client.post("/v1/events", json={"events": [event, {**event, "event_id": "e-2"}]}).json()
        assert 'slate_events_total{event_type="click"} 2.0' in client.get("/metrics").text
    assert [(one["accepted"], one["duplicates"]) for one in (first, again, batch)] == [(1, 0), (1, 1), (2, 1)]
    assert [record["event_id"] for record in logged(stage, "click")] == ["sent:e-1", "sent:e-2"]
    assert stage.redis.llen(recent_key(stage.settings.app, "u500")) == 2


def test_an_event_that_a_client_of_today_stamps_is_taken_by_the_clock_of_a_release_of_long_ago(stage: Stage) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    stamped = {"event_type": "click", "user_id": "u500", "item_id": "i1000", "event_ts": hour_ago.isoformat()}
    with stage.client() as client:
        taken = client.post("/v1/events", json=stamped)
        assert taken.status_code == 202
        assert taken.json()["clock"] == readiness(client)["clock"] == "release"
        now = datetime.fromisoformat(taken.json()["now"])
        assert abs(now - stage.as_of) < timedelta(hours=1)
        too_late = {**stamped, "event_ts": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        refused = client.post("/v1/events", json=too_late)
        assert refused.status_code == 422
        assert "by its release's clock" in refused.json()["message"]
    [record] = logged(stage, "click")
    moved = datetime.fromisoformat(record["event_ts"])
    assert timedelta(hours=1) <= now - moved < timedelta(hours=2)


@pytest.mark.parametrize("event_ts", [0, 1.5, "0", "1600000000", "2026-11-29", "yesterday"])
def test_a_time_that_is_no_text_of_a_moment_is_refused(stage: Stage, event_ts: Any) -> None:
    with stage.client() as client:
        stamped = {"event_type": "click", "session_id": "s", "item_id": "i1000", "event_ts": event_ts}
        assert client.post("/v1/events", json=stamped).status_code == 422


def test_no_secret_of_an_address_is_in_readyz_or_in_the_log(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from starlette.testclient import TestClient

    for address in (f"redis://127.0.0.1:{free_port()}/0?password=s3cret", "redis://:s3cret/x@127.0.0.1:1/0"):
        monkeypatch.setenv("REDIS_URL", address)
        with TestClient(create_app(stage.api())) as client:
            wait_until(lambda: "Redis" in client.get("/readyz").text or "redis" in client.get("/readyz").text)
            assert "s3cret" not in client.get("/readyz").text
    assert "redis://" in caplog.text
    assert "s3cret" not in caplog.text


@contextmanager
def refusing_writes(client: Any, folder: Path) -> Iterator[None]:
    """Meanwhile Redis refuses as on a full disk: it is to refuse where a dump failed, and its folder is gone."""
    before = client.config_get("dir")["dir"]
    folder.mkdir()
    client.config_set("dir", str(folder))
    folder.rmdir()
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    try:
        yield
    finally:
        client.config_set("dir", before)
        client.config_set("stop-writes-on-bgsave-error", "no")


def test_a_server_starts_and_answers_while_redis_takes_no_writes_and_its_events_wait(
    stage: Stage, tmp_path: Path
) -> None:
    event = {"event_type": "click", "session_id": "s", "item_id": "i1000"}
    with refusing_writes(stage.redis, tmp_path / "gone"), stage.client() as client:
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            stage.redis.ping()
        assert [told(client, person) for person in PEOPLE] == [("personal", [])] * 3
        assert client.post("/v1/events", json=event).status_code == 202
        assert logged(stage, "click") == []
        assert readiness(client)["degraded"] == []
    with stage.client():
        wait_until(lambda: len(logged(stage, "click")) == 1)


def test_acknowledged_events_live_through_the_death_of_the_server(stage: Stage, checkout: Path) -> None:
    acknowledged: list[str] = []
    with running(checkout) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("/v1/")[0].rpartition(":")[2])
        wait_until(lambda: fetch_or_none(port, "/readyz") == 200)

        def send(sender: int) -> None:
            for number in range(10_000):
                event_id = f"{sender}-{number}"
                event = {"event_id": event_id, "event_type": "click", "session_id": "s", "item_id": "i1000"}
                try:
                    status = fetch(port, "POST", "/v1/events", event)[0]
                except OSError:
                    return
                if status == 202:
                    acknowledged.append(event_id)

        with ThreadPoolExecutor(4) as senders:
            for sender in range(4):
                senders.submit(send, sender)
            wait_until(lambda: len(acknowledged) >= 200)
            process.send_signal(signal.SIGKILL)
    kept = {record["event_id"] for record in logged(stage, "click")}
    assert {f"sent:{event_id}" for event_id in acknowledged} <= kept


def fetch_or_none(port: int, path: str) -> int | None:
    try:
        return fetch(port, "GET", path)[0]
    except OSError:
        return None
