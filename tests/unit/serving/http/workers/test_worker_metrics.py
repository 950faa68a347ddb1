"""The files of the workers' numbers: their room is taken first, and a full disk is named and costs no answer."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.doctor import _left_in_memory
from contracts.home import Home
from serving.http.workers import worker_metrics
from serving.http.workers.processes import Worker, Workers
from serving.http.workers.worker_metrics import FILE_BYTES, WorkerMetrics, remove_left_over


@pytest.fixture
def metrics(tmp_path: Path) -> WorkerMetrics:
    metrics = WorkerMetrics(tmp_path / "8000.metrics")
    metrics.start()
    return metrics


def test_the_room_of_every_file_is_taken_before_a_worker_starts(metrics: WorkerMetrics) -> None:
    assert metrics.environment(1) == {"PROMETHEUS_MULTIPROC_DIR": str(metrics.folder), "SLATE_WORKER": "1"}
    sizes = {path.name: path.stat().st_size for path in metrics.folder.iterdir()}
    assert sizes == {f"{kind}_1.db": n_bytes for kind, n_bytes in FILE_BYTES.items()}
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size for path in metrics.folder.iterdir())


@pytest.fixture
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(worker_metrics, "IN_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    return tmp_path / "shm"


def killed(metrics: WorkerMetrics) -> None:
    assert metrics._hold is not None
    metrics._hold.close()


def test_a_server_that_starts_removes_what_killed_ones_left_and_nothing_of_those_that_live(
    shared_memory: Path, tmp_path: Path
) -> None:
    dead, alive, next_one = (WorkerMetrics.of(Home(tmp_path / str(number)), "8000") for number in range(3))
    of_before = shared_memory / f"slatework-{os.getuid()}-0-8000.metrics"
    of_before.mkdir()
    dead.start()
    alive.start()
    dead.environment(1)
    killed(dead)
    next_one.start()
    assert {*shared_memory.iterdir()} == {alive.folder, next_one.folder, of_before}
    remove_left_over(alive.folder)  # as a worker does whose server was started again meanwhile
    assert alive.folder.exists()
    alive.end()
    next_one.end()


def test_the_doctor_tells_of_what_a_killed_server_left(shared_memory: Path, home: Home) -> None:
    assert _left_in_memory().state == "ok"
    metrics = WorkerMetrics.of(home, "8000")
    metrics.start()
    metrics.environment(1)
    assert _left_in_memory().state == "ok"
    killed(metrics)
    told = _left_in_memory()
    assert (told.state, str(metrics.folder) in told.found, "1.6 MiB" in told.found) == ("optional", True, True)
    assert "slate serve" in told.next_step


def test_without_room_the_disk_is_named_and_the_worker_starts_all_the_same(
    metrics: WorkerMetrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_arguments: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert metrics.environment(1) == {}
    assert f"no room for the metrics of worker 1 in {metrics.folder} (No space left on device; " in caplog.text


def test_a_file_that_a_worker_left_half_written_does_not_kill_the_next(metrics: WorkerMetrics) -> None:
    metrics.environment(1)
    path = metrics.folder / "counter_1.db"
    path.write_bytes(b"\xff\xff\x00\x00" + b"\x07" * 100)
    metrics.environment(1)
    assert path.read_bytes() == bytes(FILE_BYTES["counter"])


def test_a_worker_that_died_of_a_full_disk_is_logged_as_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listening:
        workers = Workers(listening, Home(tmp_path), "8000", 1)
        process: Any = SimpleNamespace(returncode=-signal.SIGBUS, stdin=None)
        with caplog.at_level(logging.ERROR):
            workers._note_death(Worker(1, process, started=0.0), now=1.0)
    assert "with SIGBUS: a disk is full" in caplog.text
    assert f"{tmp_path} has " in caplog.text
