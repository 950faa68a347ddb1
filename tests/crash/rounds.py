"""The rounds of a crash run: see `python -m tests.crash`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import trange

from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.connection import connect
from feature_store.server.embedded_redis import online_store
from tests.crash.deeds import DEEDS, SETTLE, act
from tests.crash.inspection import Inspector
from tests.crash.mortal import Blow, Death
from tests.crash.stage_set import Pair, StageSet, crash_settings, other_than

N_READERS = 2
LONGEST_COUNTDOWN = 40  # a publish of this world takes about so many exchanges
LONGEST_DELAY_S = 0.15  # and about this long
BY_TIME = "at a random moment"
DEED_LIMIT_S = 120.0  # nothing here takes seconds; more is a deadlock


@dataclass
class Outcome:
    """What a run came to. losses: the sentences of what was wrong; empty is good."""

    rounds: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    readers: list[dict[str, Any]] = field(default_factory=list)

    def of_readers(self, what: str) -> int:
        """The sum over all readers."""
        return sum(reader[what] for reader in self.readers)

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "rounds": self.rounds,
            "killed": self.killed.total(),
            "mixed": self.of_readers("mixed"),
            "lost": len(self.losses),
            "failed_requests": self.of_readers("failed"),
            "answers": self.of_readers("answers"),
        }


def run(n_rounds: int, seed: int) -> Outcome:
    """Everything, in a home of its own that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="slate-crash-", ignore_cleanup_errors=True) as scratch:
        home = Home(Path(scratch) / "home")
        home.root.mkdir()
        os.environ["SLATE_HOME"] = str(home.root)
        os.environ.pop("REDIS_URL", None)
        settings, stage_set = crash_settings(), _built(home, Path(scratch))
        with online_store(home) as url:
            os.environ["REDIS_URL"] = url
            try:
                return _Run(settings, home, url, stage_set, np.random.default_rng(seed)).rounds(n_rounds)
            finally:
                del os.environ["REDIS_URL"]


def _built(home: Home, scratch: Path) -> StageSet:
    """The world, built in a process of its own: what trains models leaves threads, and nobody may fork beside them."""
    build = "import sys; from pathlib import Path; from contracts.home import Home; "
    build += "from tests.crash.stage_set import StageSet; StageSet.build(Home(Path(sys.argv[1])), Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", build, str(home.root), str(scratch)], check=True, stdout=subprocess.DEVNULL)
    return StageSet.load(home)


class _Run:
    def __init__(self, settings: Settings, home: Home, url: str, stage_set: StageSet, rng: np.random.Generator) -> None:
        self._settings = settings
        self._home = home
        self._url = url
        self._stage_set = stage_set
        self._rng = rng
        self._outcome = Outcome()
        self._processes = get_context("forkserver")  # imports once, and forks before anything has started a thread
        self._processes.set_forkserver_preload(
            ["tests.crash.deeds", "release.bundle.publication", "release.promotion.generation_cleanup"]
        )

    def rounds(self, n_rounds: int) -> Outcome:
        with connect(self._url) as client:
            inspector = Inspector(client, self._settings, self._home, self._stage_set)
            self._do("switch", self._stage_set.pairs[0], None)
            with self._readers():
                for _ in trange(n_rounds, desc="rounds", disable=None):
                    self._round(inspector)
        return self._outcome

    def _round(self, inspector: Inspector) -> None:
        before = inspector.served()
        deed, pair = self._chosen(before)
        blow = self._kill(deed, pair)
        self._outcome.rounds += 1
        self._outcome.losses += [f"{deed}, killed {blow}: {loss}" for loss in inspector.losses(before)]
        self._do(SETTLE, pair, None)
        self._do(deed, pair, None)
        self._outcome.losses += [f"{deed}, resumed: {loss}" for loss in inspector.losses(before)]
        if not inspector.agrees():
            self._outcome.losses.append(f"{deed}, resumed: the journal says something else than the pointer")

    def _chosen(self, served: Pair | None) -> tuple[str, Pair]:
        deed = str(self._rng.choice(list(DEEDS)))
        pairs = other_than(self._stage_set.pairs, served)
        if deed == "refresh":
            pairs = [pair for pair in pairs if served and pair[0] == served[0]]
        if deed == "switch":
            pairs = [pair for pair in pairs if served and pair[0] != served[0]]
        return deed, pairs[int(self._rng.integers(len(pairs)))]

    def _kill(self, deed: str, pair: Pair) -> str:
        """Do the deed and kill it; returns where, or that it ended first."""
        where = str(self._rng.choice([*Blow, BY_TIME]))
        if where == BY_TIME:
            process = self._start(deed, pair, None)
            process.join(float(self._rng.uniform(0, LONGEST_DELAY_S)))
            process.kill()
        else:
            few = where in (Blow.BEFORE_JOURNAL, Blow.AFTER_JOURNAL)  # a move makes two entries
            countdown = int(self._rng.integers(3 if few else LONGEST_COUNTDOWN))
            process = self._start(deed, pair, Death(Blow(where), countdown))
        self._join(process, deed)
        died = process.exitcode == -signal.SIGKILL
        (self._outcome.killed if died else self._outcome.survived)[deed] += 1
        return where

    def _do(self, deed: str, pair: Pair, death: Death | None) -> None:
        process = self._start(deed, pair, death)
        self._join(process, deed)
        if process.exitcode:
            self._outcome.losses.append(f"{deed} of {pair} could not be done again: exit code {process.exitcode}")

    def _start(self, deed: str, pair: Pair, death: Death | None) -> BaseProcess:
        process = self._processes.Process(target=act, args=(deed, self._settings, self._home, pair, death))
        process.start()
        return process

    def _join(self, process: BaseProcess, deed: str) -> None:
        process.join(DEED_LIMIT_S)
        if process.is_alive():
            process.kill()
            process.join()
            self._outcome.losses.append(f"{deed} did not end within {DEED_LIMIT_S:.0f} s")

    @contextmanager
    def _readers(self) -> Iterator[None]:
        """Readers that have had their first answer; their counts are in the outcome afterwards."""
        with ExitStack() as running:
            readers = [running.enter_context(self._reader(number)) for number in range(N_READERS)]
            for reader in readers:
                _line(reader)
            yield
            for reader in readers:
                reader.terminate()
            self._outcome.readers = [json.loads(_line(reader)) for reader in readers]

    @contextmanager
    def _reader(self, number: int) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "tests.crash.reader", str(number)]
        log = self._home.root / f"reader-{number}.log"
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as reader,
        ):
            try:
                yield reader
            finally:
                reader.terminate()
                if reader.wait():
                    sys.stderr.write(log.read_text())


def _line(reader: subprocess.Popen[str]) -> str:
    """The next line it prints; raises when it ended instead."""
    line = reader.stdout.readline() if reader.stdout else ""
    if not line:
        raise RuntimeError("A reader ended: what it said stands below.")
    return line
