"""`slate serve --workers 2`: two processes on one socket, as one server to whoever asks."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from feature_store.online.event_stream import latest_records
from feature_store.online.keys import values_key
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from release.parity.used_values import UsedValues, parse_record
from serving.http.workers.worker_metrics import FILE_BYTES, WorkerMetrics
from tests.integration.serving.test_command_line import checkout, running
from tests.integration.serving.worlds import Stage, wait_until

__all__ = ["checkout"]


@dataclass
class Crew:
    """A running server, and the workers it has."""

    process: subprocess.Popen[str]
    port: int

    def workers(self) -> set[int]:
        return {worker.pid for worker in psutil.Process(self.process.pid).children()}

    def ask(self, path: str, body: Any = None) -> tuple[int, str]:
        """One request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @contextmanager
    def only(self, awake: int) -> Iterator[None]:
        """Meanwhile this worker alone answers."""
        others = [psutil.Process(pid) for pid in self.workers() - {awake}]
        for other in others:
            other.suspend()
        wait_until(lambda: all(other.status() == psutil.STATUS_STOPPED for other in others))
        try:
            yield
        finally:
            for other in others:
                other.resume()

    def n_ready(self, release_id: str) -> int:
        """How many workers answer with this release, as they tell it of each other."""
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith("slate_release_info{") and f'release_id="{release_id}"' in line:
                return int(float(line.rpartition(" ")[2]))
        return 0


@pytest.fixture
def crew(stage: Stage, checkout: Path) -> Iterator[Crew]:
    stage.point_at(0)
    with running(checkout, "--workers", "2") as process:
        assert process.stdout is not None
        crew = Crew(process, int(process.stdout.readline().split("/v1/")[0].rpartition(":")[2]))
        wait_until(lambda: crew.n_ready(stage.pairs[0][0]) == 2)
        yield crew


def test_all_workers_follow_the_pointer_and_their_numbers_are_told_as_one(stage: Stage, crew: Crew) -> None:
    for number in range(20):
        status, slate = crew.ask("/v1/recommend", {"user_id": f"u{number}"})
        assert (status, json.loads(slate)["release_id"]) == (200, stage.pairs[0][0])
    stage.point_at(1)
    wait_until(lambda: crew.n_ready(stage.pairs[1][0]) == 2)
    assert crew.n_ready(stage.pairs[0][0]) == 0
    answered = [line for line in crew.ask("/metrics")[1].splitlines() if line.startswith("slate_slates_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in answered) == 20


def test_the_next_connections_go_to_the_worker_that_holds_fewer(crew: Crew) -> None:
    first, second = sorted(crew.workers())
    with ExitStack() as kept:

        def connect() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", crew.port, timeout=60)
            kept.enter_context(closing(connection)).request("GET", "/healthz")
            assert connection.getresponse().read()

        with crew.only(first):
            for _ in range(12):
                connect()
        assert n_held(crew, first) == 12
        wait_until(lambda: psutil.Process(second).status() != psutil.STATUS_STOPPED)
        for _ in range(12):
            connect()
        assert n_held(crew, first) + n_held(crew, second) == 24
        assert n_held(crew, second) >= 10  # all of them, where it is never late


def n_held(crew: Crew, worker: int) -> int:
    """How many connections of clients a worker holds."""
    connections = psutil.Process(worker).net_connections("tcp4")
    return sum(bool(one.raddr) and one.laddr.port == crew.port for one in connections)


def test_what_a_person_did_at_one_worker_counts_at_the_next_request_that_another_answers(
    stage: Stage, crew: Crew
) -> None:
    one, other = crew.workers()
    with crew.only(other):
        before = items_of(crew.ask("/v1/recommend", {"user_id": "u500"}))
    clicked = before[:2]
    with crew.only(one):
        for item_id in clicked:
            crew.ask("/v1/events", {"event_type": "click", "user_id": "u500", "item_id": item_id})
    with crew.only(other):
        after = items_of(crew.ask("/v1/recommend", {"user_id": "u500"}))
    assert not set(clicked) & set(after)
    wait_until(lambda: len(logged(stage)) == 2)
    first, second = (events_counted(stage, values) for values in logged(stage))
    assert second == first + len(clicked)


def items_of(answer: tuple[int, str]) -> list[str]:
    assert answer[0] == 200
    return [item["item_id"] for item in json.loads(answer[1])["items"]]


def logged(stage: Stage) -> list[UsedValues]:
    return [parse_record(record) for record in latest_records(stage.redis, values_key(stage.settings.app), 10)]


def events_counted(stage: Stage, values: UsedValues) -> float:
    """How many events of the person an answer counted."""
    assert values.user is not None
    names = load_bundle(BundleStore(stage.home).path(values.release_id)).schemas.user.names
    count: float = values.user.rows.values[0, names.index("user_event_count_total")]
    return count


def test_a_worker_that_is_killed_is_started_again_while_the_other_answers(stage: Stage, crew: Crew) -> None:
    before = crew.workers()
    assert len(before) == 2
    psutil.Process(min(before)).kill()
    while len(crew.workers()) < 2 or crew.workers() == before:
        assert crew.ask("/v1/recommend", {})[0] == 200
    wait_until(lambda: crew.n_ready(stage.pairs[0][0]) == 2)


def test_a_worker_started_again_goes_on_in_the_files_of_the_one_before(stage: Stage, crew: Crew) -> None:
    """Else the files of the dead pile up; and none has a page left to be taken from the disk while it is written."""
    folder = WorkerMetrics.of(stage.home, str(crew.port)).folder
    files = {path.name for path in folder.iterdir()}
    assert len(files) == 2 * len(FILE_BYTES)
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size > 0 for path in folder.iterdir())
    before = crew.workers()
    for _ in range(4):
        crew.ask("/v1/recommend", {})
    psutil.Process(min(before)).kill()
    wait_until(lambda: len(crew.workers()) == 2 and crew.workers() != before)
    wait_until(lambda: crew.n_ready(stage.pairs[0][0]) == 2)
    assert {path.name for path in folder.iterdir()} == files
    answered = [line for line in crew.ask("/metrics")[1].splitlines() if line.startswith("slate_slates_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in answered) == 4
    crew.process.send_signal(signal.SIGTERM)
    crew.process.communicate()
    assert not folder.exists()


def test_told_to_stop_the_workers_end_well_and_none_is_left(crew: Crew) -> None:
    workers = [psutil.Process(pid) for pid in crew.workers()]
    crew.process.send_signal(signal.SIGTERM)
    _, errors = crew.process.communicate()
    assert crew.process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "killed" not in errors
    assert not any(worker.is_running() for worker in workers)


def test_neither_workers_nor_their_files_outlive_a_server_that_is_killed(stage: Stage, crew: Crew) -> None:
    workers = [psutil.Process(pid) for pid in crew.workers()]
    folder = WorkerMetrics.of(stage.home, str(crew.port)).folder
    assert folder.exists()
    crew.process.kill()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert (len(gone), alive) == (2, [])
    assert not folder.exists()
