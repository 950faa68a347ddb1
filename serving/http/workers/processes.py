"""Several worker processes on one listening socket: started, started again when they die, ended together.

Each is a whole server of its own: its own lineup, spool and Redis connections. The kernel hands a connection to whoever
takes it first; what a worker that is killed had not taken, another one takes.
A worker lives as long as this process: its input is a pipe from here, and ends with it, however it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property

from contracts.home import Home
from contracts.stop_signals import stopped_by_signals
from serving.http.server import GRACE_S
from serving.http.workers.fair_accepting import OpenConnections
from serving.http.workers.worker_metrics import WorkerMetrics, free_bytes

LOG = logging.getLogger(__name__)
LOOK_S = 0.1  # how soon a dead worker is noticed
STOP_WITHIN_S = GRACE_S + 10  # a worker ends within its grace time; then it is killed
SOUND_AFTER_S = 30.0  # a worker that lived so long has no trouble starting
LONGEST_WAIT_S = 30.0
NO_FILE = -1


@dataclass
class Worker:
    """The process at one place. not_before: when the next one may be started, by the monotonic clock."""

    number: int
    process: subprocess.Popen[bytes]
    started: float
    wait_s: float = 0.0
    not_before: float = 0.0


@dataclass
class Workers:
    """n_workers processes that answer on a socket. name: tells their spools and metrics from other servers'."""

    listening: socket.socket
    home: Home
    name: str
    n_workers: int
    _workers: list[Worker] = field(default_factory=list)
    _held: int = NO_FILE  # in which the workers tell how many connections they hold, while it runs

    @cached_property
    def metrics(self) -> WorkerMetrics:
        """Where the workers keep their numbers."""
        return WorkerMetrics.of(self.home, self.name)

    def run(self) -> None:
        """Answer until SIGTERM or Ctrl-C; then let the workers finish what is under way, and return."""
        self.metrics.start()
        try:
            with stopped_by_signals() as stop, OpenConnections.new_file(self.n_workers) as held:
                self._held = held.fileno()
                self._workers = [Worker(number, self._start(number), time.monotonic()) for number in self._numbers()]
                while not stop.wait(LOOK_S):
                    self._restart_dead()
        finally:
            self._held = NO_FILE
            self._end()
            self.metrics.end()
            self.listening.close()
            LOG.info("Stopped.")

    def _numbers(self) -> range:
        return range(1, self.n_workers + 1)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        descriptor, held = self.listening.fileno(), self._held
        command = [sys.executable, "-m", "serving.http.workers.worker"]
        return subprocess.Popen(
            [*command, str(descriptor), f"{self.name}-{number}", str(held), str(number - 1)],
            stdin=subprocess.PIPE,
            pass_fds=[descriptor, held],
            env={**os.environ, **self.metrics.environment(number)},
            start_new_session=True,  # Ctrl-C is for this process, which tells them
        )

    def _restart_dead(self) -> None:
        """Start again who died; who dies again and again is waited for longer and longer."""
        for worker in self._workers:
            if worker.process.poll() is None:
                continue
            now = time.monotonic()
            if not worker.not_before:
                self._note_death(worker, now)
            if now >= worker.not_before:
                worker.process, worker.started, worker.not_before = self._start(worker.number), now, 0.0

    def _note_death(self, worker: Worker, now: float) -> None:
        """A worker died: note it, and when the next may come."""
        lived = now - worker.started
        worker.wait_s = 0.0 if lived > SOUND_AFTER_S else min(max(2 * worker.wait_s, LOOK_S), LONGEST_WAIT_S)
        worker.not_before = now + worker.wait_s
        self.metrics.note_death(worker.number)
        if self._held != NO_FILE:
            OpenConnections(self._held).tell_gone(worker.number - 1)
        _close_input(worker)
        LOG.error("Worker %d ended %s after %.0f s.", worker.number, self._how_it_ended(worker), lived)

    def _how_it_ended(self, worker: Worker) -> str:
        code = worker.process.returncode
        if code == -signal.SIGBUS:
            folders = (self.metrics.folder, self.home.root)
            free = ", ".join(f"{folder} has {free_bytes(folder):,} bytes left" for folder in folders)
            return f"with SIGBUS: a disk is full, on which a file lies that it had mapped into memory ({free})"
        return f"with {signal.Signals(-code).name if code < 0 else code}"

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for worker in self._workers:
            try:
                worker.process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                LOG.warning("Worker %d does not end, and is killed.", worker.number)
                worker.process.kill()
                worker.process.wait()
            _close_input(worker)


def _close_input(worker: Worker) -> None:
    if worker.process.stdin is not None:
        worker.process.stdin.close()
