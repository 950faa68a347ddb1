"""Asking servers at a steady rate from a process of its own (`bench.steady_load`), and what they answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import psutil

from bench.two_releases import Rig, item_ids, wait_until

LATE_S = 0.1  # after it was due; a machine that answers later than this is asked too much
MISSED_AT_MOST = 0.01  # of the answers, at a rate that is carried
FIRST_RATE, STEP, MOST = 8.0, 1.5, 2000.0
STEP_S = 3.0


@dataclass(frozen=True)
class Answer:
    """One answer. due, done: seconds of the monotonic clock; status: 0 where the connection failed."""

    question: int
    due: float
    done: float
    status: int
    release_id: str
    generation_id: str
    degraded: tuple[str, ...]
    items: tuple[str, ...]
    timings_ms: Mapping[str, float]

    @classmethod
    def from_line(cls, line: bytes) -> Answer:
        """The answer in a line of `bench.steady_load`."""
        record = json.loads(line)
        body: dict[str, Any] = record["answer"] or {}
        return cls(
            record["question"],
            record["due"],
            record["done"],
            record["status"],
            str(body.get("release_id")),
            str(body.get("generation_id")),
            tuple(body.get("degraded", ())),
            item_ids(body) if "items" in body else (),
            body.get("timings_ms", {}),
        )

    @property
    def is_late(self) -> bool:
        return self.done - self.due > LATE_S

    @property
    def is_in_time(self) -> bool:
        """Whole and not late: a failure is no answer, and one that something was shed of is another than was asked."""
        return self.status == HTTPStatus.OK and not self.degraded and not self.is_late


def carried_rate(rig: Rig, questions: Sequence[bytes]) -> float:
    """The highest rate of a ramp at which 99 in 100 answers come whole and in time; the first one where none does.

    A rate at which they do not is tried once more: one pause of the machine makes some in a hundred late.
    """
    rate = FIRST_RATE
    while rate * STEP <= MOST and any(_is_carried(rig, questions, rate * STEP) for _ in range(2)):
        rate *= STEP
    return rate


def _is_carried(rig: Rig, questions: Sequence[bytes], rate: float) -> bool:
    with steady_load(rig, questions, rate) as answers:
        time.sleep(STEP_S)
    return is_carried(answers)


def is_carried(answers: Sequence[Answer]) -> bool:
    """Whether 99 in 100 of them came whole, and in time."""
    return sum(not answer.is_in_time for answer in answers) <= MISSED_AT_MOST * len(answers)


@contextmanager
def steady_load(rig: Rig, questions: Sequence[bytes], rate: float) -> Iterator[list[Answer]]:
    """Ask meanwhile; the answers are in the list afterwards, in the order in which they came."""
    asked, answered = rig.home.root / "questions.jsonl", rig.home.root / "answers.jsonl"
    asked.write_bytes(b"\n".join(questions))
    answers: list[Answer] = []
    addresses = ",".join(f"127.0.0.1:{port}" for port in rig.ports)
    with answered.open("wb") as output:
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.steady_load", addresses, str(rate), str(asked)],
            stdin=subprocess.PIPE,
            stdout=output,
        )
        try:
            wait_until(lambda: answered.stat().st_size > 0, rig.home)
            _check_spread(rig, load.pid)
            yield answers
        finally:
            load.communicate()
    answers.extend(Answer.from_line(line) for line in answered.read_bytes().splitlines())


def _check_spread(rig: Rig, load: int) -> None:
    """Stop when a worker has no connection: the benchmark would not see what it answers."""
    ours = {connection.laddr for connection in psutil.Process(load).net_connections("tcp4")}
    holding = {
        process.pid
        for process in psutil.process_iter()
        if process.pid != load and process.is_running()
        for connection in _connections(process)
        if connection.raddr and connection.raddr in ours
    }
    expected = len(rig.ports) * rig.n_workers
    if len(holding) < expected:
        sys.exit(f"{len(holding)} of {expected} workers took a connection; run it again.")


def _connections(process: psutil.Process) -> Sequence[Any]:
    try:
        return process.net_connections("tcp4")
    except psutil.Error:
        return ()
