"""Servers over a real socket, while the release changes and while Redis comes and goes."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn

from contracts.events import EventType
from contracts.features import FeatureReader, FeatureRows, Person, ReadsPeopleInTurn
from contracts.home import Home
from contracts.ids import ItemId, SessionId, UserId
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest
from feature_store.online.connection import connect
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.server import embedded_redis
from serving.http.app import create_app
from serving.http.server import listen
from serving.live.live_release import LiveRelease
from serving.wire import SentEvent
from tests.integration.serving.worlds import Stage, published, wait_until

QUESTIONS = ({"user_id": "u500"}, {}, {"session_id": "s1"}, {"surface": "item", "item_id": "i1004"})
CLICK = {"event_type": "click", "session_id": "s1", "item_id": "i1004"}
N_SWITCHES = 20


def taken(*degraded: str) -> dict[str, Any]:
    """The answer to one event of an item that is known."""
    return {"accepted": 1, "duplicates": 0, "degraded": list(degraded), "unknown_items": []}


def without_time(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to events without what every one says of the clock."""
    return {name: value for name, value in answer.items() if name not in ("clock", "now")}


@dataclass
class Server:
    """A uvicorn on a free port of this machine."""

    port: int
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def ask(self, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """One request on a connection of its own; GET without a body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            return ask(connection, path, body)

    def ready(self, **expected: Any) -> bool:
        """Whether /readyz says 200 and these values."""
        status, content = self.ask("/readyz")
        return status == 200 and expected.items() <= content.items()

    @contextmanager
    def under_load(self, n_threads: int = 3) -> Iterator[None]:
        """Ask all the while, from several threads; what came back is in `answers` afterwards."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask_on, args=(stop,)) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask_on(self, stop: threading.Event) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            while not stop.is_set():
                for number, question in enumerate(QUESTIONS):
                    status, answer = ask(connection, "/v1/recommend", question)
                    self.answers.append((status, {**answer, "question": number}))


def ask(connection: http.client.HTTPConnection, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    if body is None:
        connection.request("GET", path)
    else:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@contextmanager
def serving(stage: Stage) -> Iterator[Server]:
    """A running server of this application, as `slate serve` runs one."""
    with closing(listen("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(create_app(stage.api()), log_config=None, access_log=False, log_level="warning")
        server = uvicorn.Server(config)
        # Signals belong to the main thread; here the server is told to stop by its own flag.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Server(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def test_switching_under_load_loses_no_request_and_mixes_no_answer(stage: Stage) -> None:
    stage.point_at(0)
    with serving(stage) as server:
        wait_until(server.ready)
        with server.under_load():
            for number in range(1, N_SWITCHES):
                pointer = stage.point_at(number % 2)
                wait_until(lambda epoch=pointer.epoch: server.ready(epoch=epoch))
    assert {status for status, _ in server.answers} == {200}
    pairs = {(answer["release_id"], answer["generation_id"]) for _, answer in server.answers}
    assert pairs == set(stage.pairs)
    assert {name for _, answer in server.answers for name in answer["degraded"]} == set()


def test_whatever_changes_under_load_each_answer_is_wholly_one_releases_own(stage: Stage) -> None:
    stage = stage.with_serving(staging_header=True)
    stage.point_at(0)
    with serving(stage) as server:
        wait_until(server.ready)
        own = {stage.pairs[0]: shown_by(server)}
        stage.point_at(1)
        wait_until(lambda: server.ready(release_id=stage.pairs[1][0]))
        own[stage.pairs[1]] = shown_by(server)
        assert own[stage.pairs[0]] != own[stage.pairs[1]]
        with server.under_load(n_threads=4):
            for number in range(N_SWITCHES):
                pointer = stage.point_at(number % 2)
                wait_until(lambda epoch=pointer.epoch: server.ready(epoch=epoch))
                stage.try_out((number + 1) % 2, share=(number % 4) / 3)
                stage.put_in_staging(number % 2)
                wait_until(lambda: beside(server, "canary") and beside(server, "staged"))
                stage.put_in_staging(None)
    assert {status for status, _ in server.answers} == {200}
    for _, answer in server.answers:
        pair = (answer["release_id"], answer["generation_id"])
        assert [item["item_id"] for item in answer["items"]] == own[pair][answer["question"]]
        assert answer["degraded"] == []
    arms = {(answer["arm"], (answer["release_id"], answer["generation_id"])) for _, answer in server.answers}
    assert {arm for arm, _ in arms} == {"production", "canary"}
    assert {pair for _, pair in arms} == set(stage.pairs)


def shown_by(server: Server) -> list[list[str]]:
    return [[item["item_id"] for item in server.ask("/v1/recommend", question)[1]["items"]] for question in QUESTIONS]


def beside(server: Server, arm: str) -> bool:
    named = server.ask("/readyz")[1][arm]
    return named is not None and named["ready"]


def test_a_request_that_the_switch_overtakes_is_answered_by_the_old_release_from_beginning_to_end(
    stage: Stage,
) -> None:
    stage.point_at(0)
    live = stage.api().live
    take_up(live)
    assert live.current is not None
    served = live.current.production
    overtaken = SwitchedMeanwhile(served.reader, lambda: (stage.point_at(1), take_up(live)))
    slate = replace(served, reader=overtaken).answer(RecommendRequest("q1", UserId("u500")))
    assert (slate.release_id, slate.generation_id) == stage.pairs[0]
    assert overtaken.n_item_reads == 1
    assert slate.degraded == ()
    now_served = live.current.production
    assert (now_served.release_id, now_served.generation_id) == stage.pairs[1]


def take_up(live: LiveRelease) -> None:
    """What the two threads of a server come to after a change."""
    live.look()
    live.load()
    live.look()


@dataclass
class SwitchedMeanwhile(ReadsPeopleInTurn):
    """A reader in whose use, between the two reads of a request, the release is switched."""

    reader: FeatureReader
    switch: Callable[[], object]
    n_item_reads: int = 0

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        person = self.reader.read_person(user_id, session_id, now)
        self.switch()
        return person

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> FeatureRows:
        self.n_item_reads += 1
        return self.reader.read_items(item_ids, now)


def test_a_server_is_ready_only_once_something_is_promoted(stage: Stage) -> None:
    with serving(stage) as server:
        wait_until(lambda: server.ask("/readyz")[1]["message"] == "No release is in production.")
        for path, body in (("/readyz", None), ("/v1/recommend", {}), ("/v1/events", CLICK)):
            status, answer = server.ask(path, body)
            assert status == 503
            assert "slate promote" in answer["next_step"]
        assert server.ask("/healthz") == (200, {"status": "ok"})
        stage.point_at(0)
        wait_until(server.ready)
        assert server.ask("/v1/recommend", {})[0] == 200


def test_a_damaged_bundle_is_not_taken_up_and_the_old_release_goes_on(stage: Stage) -> None:
    stage.point_at(0)
    with serving(stage) as server:
        wait_until(server.ready)
        damaged = next((stage.home.bundles / stage.pairs[1][0] / "ranking").glob("*.txt"))
        damaged.write_bytes(damaged.read_bytes() + b" ")
        stage.point_at(1)
        wait_until(lambda: server.ask("/readyz")[1]["problem"] is not None)
        status, ready = server.ask("/readyz")
        assert (status, ready["release_id"]) == (200, stage.pairs[0][0])
        assert ready["problem"]["error"] == "ReleaseMismatch"
        assert server.ask("/v1/recommend", {})[1]["release_id"] == stage.pairs[0][0]


@pytest.fixture
def own_redis(
    stocked: Home, small_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """The application in a Redis of its own, which the test may stop and start."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("SLATE_REDIS_PORT", raising=False)
    home = Home(tmp_path / "home")
    shutil.copytree(stocked.bundles, home.bundles)
    url = embedded_redis.start(home)
    try:
        with closing(connect(url)) as client:
            yield published(home, small_settings, client)
    finally:
        embedded_redis.stop(home)


def test_people_are_answered_while_redis_is_away_and_it_is_used_again_when_it_is_back(own_redis: Stage) -> None:
    own_redis.point_at(0)
    with serving(own_redis) as server:
        wait_until(server.ready)
        assert server.ask("/v1/recommend", {"user_id": "u500"})[1]["tier"] == "personal"
        with server.under_load():
            embedded_redis.stop(own_redis.home)
            wait_until(lambda: server.ready(degraded=["online_store"]))
            status, away = server.ask("/v1/recommend", {"user_id": "u500"})
            assert (status, away["tier"], away["degraded"]) == (200, "popular", ["features"])
            assert (away["release_id"], away["generation_id"]) == own_redis.pairs[0]
            status, answer = server.ask("/v1/events", CLICK)
            assert (status, without_time(answer)) == (202, taken("sessions"))
            embedded_redis.start(own_redis.home)  # on another port, as it may
            wait_until(lambda: server.ready(degraded=[], problem=None))
        assert {status for status, _ in server.answers} == {200}
        assert server.ask("/v1/recommend", {"user_id": "u500"})[1]["tier"] == "personal"
        status, answer = server.ask("/v1/events", CLICK)
        assert (status, without_time(answer)) == (202, taken())
        assert server.ask("/v1/recommend", {"session_id": "s1"})[1]["tier"] == "session"


def test_an_event_while_redis_is_away_names_and_counts_every_list_that_lacks_it(own_redis: Stage) -> None:
    own_redis.point_at(0)
    api = own_redis.api()
    take_up(api.live)
    embedded_redis.stop(own_redis.home)
    for event, degraded in (
        ({"session_id": "s1"}, ["sessions"]),
        ({"user_id": "u500"}, ["recent_events"]),
        ({"user_id": "u500", "session_id": "s1"}, ["sessions", "recent_events"]),
        ({"user_id": "u500", "event_type": "signup"}, []),  # no list keeps it
    ):
        answer = anyio.run(
            api.take_events, SentEvent.model_validate({"event_type": "click", "item_id": "i1004", **event})
        )
        assert (answer.status_code, without_time(json.loads(answer.body))) == (202, taken(*degraded))
    for what in ("sessions", "recent_events"):
        assert f'slate_degraded_total{{arm="production",what="{what}"}} 2.0' in api.metrics.text().decode()


def test_a_server_that_starts_without_redis_serves_what_it_served_last(own_redis: Stage) -> None:
    own_redis.point_at(1)
    with serving(own_redis) as server:
        wait_until(server.ready)
    embedded_redis.stop(own_redis.home)
    with serving(own_redis) as server:
        wait_until(server.ready)
        assert server.ready(release_id=own_redis.pairs[1][0], degraded=["online_store"])
        status, slate = server.ask("/v1/recommend", {"user_id": "u500"})
        assert (status, slate["degraded"]) == (200, ["features"])
        embedded_redis.start(own_redis.home)
        wait_until(lambda: server.ready(degraded=[]))


def test_a_redis_that_lost_everything_is_survived_and_told(stage: Stage) -> None:
    stage.point_at(0)
    with serving(stage) as server:
        wait_until(server.ready)
        stage.redis.flushall()
        wait_until(lambda: server.ready(degraded=["pointer"]))
        status, slate = server.ask("/v1/recommend", {"user_id": "u500"})
        assert status == 200
        assert "pointer" in slate["degraded"]
        assert "slate sync" in server.ask("/readyz")[1]["problem"]["next_step"]


def test_values_that_are_not_this_releases_are_not_mixed_in(stage: Stage) -> None:
    stage.point_at(0)
    with serving(stage) as server:
        wait_until(server.ready)
        key = next(stage.redis.scan_iter(match=f"*:{stage.pairs[0][1]}:u:0"))
        for user_id in stage.redis.hkeys(key):
            stage.redis.hset(key, user_id, b"not a row of this release")
        status, slate = server.ask("/v1/recommend", {"user_id": "u500"})
        assert (status, slate["degraded"]) == (200, ["features"])


def test_sessions_outlive_a_switch(stage: Stage) -> None:
    stage.point_at(0)
    clicked = RecentEvent(
        EventType.CLICK, ItemId("i1004"), int(stage.as_of.timestamp()) * 1_000_000, 5.0, session_id=SessionId("s1")
    )
    append_events(stage.redis, stage.settings.app, [clicked], session=Retention(5, 300), recent=Retention(5, 300))
    with serving(stage) as server:
        wait_until(server.ready)
        pointer = stage.point_at(1)
        wait_until(lambda: server.ready(epoch=pointer.epoch))
        assert server.ask("/v1/recommend", {"session_id": "s1"})[1]["tier"] == "session"
