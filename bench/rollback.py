"""How long does a rollback take, from the command to the last answer by the newer release, and what does it cost?

    python -m bench.rollback [--rounds N] [--servers N] [--workers N] [--rate N]

Run it in a checkout where `dvc repro` has finished. It makes a second release of the one built (the same, with other
rules), and serves them from a home and a Redis of its own with `slate serve`; both stop at the end. A process of its
own asks all the while at a steady rate over connections that stay open. Each round promotes the second release, and
then runs `slate rollback` with MLflow away. An answer is mixed when its slate is not that of the release it names.
Limit: 1 s, nothing failed, nothing mixed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from bench.report import print_figures, print_table
from contracts.home import Home
from contracts.settings.settings import Settings, load_settings
from feature_store.server.embedded_redis import online_store
from feature_store.server.server_program import free_port
from feature_store.values.values import FeatureValues
from pipelines.paths import BUNDLE
from release.bundle.bundle import EVALUATION, MEASURED, RULES, FittedArtefacts, load_bundle, measured_with
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import VALUES_FOLDER, Manifest, list_files, load_manifest
from release.bundle.parts import GOLDEN, name_parts
from release.golden.golden_queries import make_golden
from release.journal.journal import Action, Journal, Note, Phase
from release.promotion.switch import open_switch

SLATE = (sys.executable, "-m", "cli.main")
N_QUESTIONS = 40
WITHIN_S = 120.0  # for anything that the benchmark waits for
SETTLED_S = 1.0  # asked on after a switch, so that a straggler shows


@dataclass(frozen=True)
class Rig:
    """The servers, and two releases to switch between. ports: of the servers; n_workers: of each."""

    home: Home
    settings: Settings
    older: Manifest
    newer: Manifest
    ports: tuple[int, ...]
    n_workers: int

    def promote(self, manifest: Manifest) -> None:
        """Put a release into production, and wait until every worker answers with it."""
        note = Note(Action.PROMOTE, Phase.INTENT, manifest.release_id, manifest.generation_id, requester="bench")
        journal = Journal(self.home, self.settings.app)
        with open_switch(self.home, self.settings.app, journal, self.settings.publish.batch_size) as switch:
            switch.move(note)
        self.wait_for(manifest)

    def wait_for(self, manifest: Manifest) -> None:
        """Until every worker of every server answers with this release."""
        for port in self.ports:
            _wait(lambda port=port: _n_answering(port, manifest.release_id) == self.n_workers)

    def ask(self, questions: Sequence[bytes]) -> list[list[str]]:
        """The slates of what is in production now."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=WITHIN_S)) as connection:
            return [_items(_post(connection, question)) for question in questions]


@dataclass(frozen=True)
class Round:
    """began: when the command was started; said: when it said that the pointer had moved; ended: well after both."""

    began: float
    said: float
    ended: float


def main() -> None:
    """Promote and roll back, round after round, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 5), ("servers", 2), ("workers", 2), ("rate", 80)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with running_rig(asked.servers, asked.workers) as rig:
        questions = _questions(rig)
        rig.promote(rig.older)
        expected = {rig.older.release_id: rig.ask(questions)}
        rig.promote(rig.newer)
        expected[rig.newer.release_id] = rig.ask(questions)
        with steady_load(rig, questions, asked.rate) as answers:
            rounds = [_round(rig) for _ in range(asked.rounds)]
    _report(rig, rounds, answers, expected)


def _round(rig: Rig) -> Round:
    rig.promote(rig.newer)
    time.sleep(SETTLED_S)
    began = time.monotonic()
    command = subprocess.Popen([*SLATE, "rollback", "--reason", "bench"], stdout=subprocess.PIPE, text=True)
    with command:
        assert command.stdout is not None
        line = command.stdout.readline()
        said = time.monotonic()
        command.stdout.read()
    if command.returncode or "instead of" not in line:
        sys.exit(f"`slate rollback` ended with {command.returncode}: {line}")
    rig.wait_for(rig.older)
    time.sleep(SETTLED_S)
    return Round(began, said, time.monotonic())


def _report(
    rig: Rig, rounds: Sequence[Round], answers: Sequence[Mapping[str, Any]], expected: Mapping[str, list[list[str]]]
) -> None:
    rows = []
    for number, this in enumerate(rounds, start=1):
        own = [answer for answer in answers if this.began <= answer["done"] < this.ended]
        last = max((answer["done"] for answer in own if _release(answer) == rig.newer.release_id), default=this.began)
        back, said = last - this.began, this.said - this.began
        rows.append((number, back, said, len(own), _n_failed(own), _n_mixed(own, expected)))
    print_table(
        ["round", "rollback s", "pointer moved s", "requests", "failed", "mixed"],
        [(row[0], f"{row[1]:.3f}", f"{row[2]:.3f}", *row[3:]) for row in rows],
    )
    milliseconds = sorted(1000 * (answer["done"] - answer["due"]) for answer in answers)
    figures = {
        "rollback_s": round(max(row[1] for row in rows), 3),
        "failed": _n_failed(answers),
        "mixed": _n_mixed(answers, expected),
        "requests": len(answers),
        "p50_ms": round(statistics.median(milliseconds), 2),
        "p99_ms": round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 2),
    }
    print_figures("rollback", figures, data="the checkout's own", seed=rig.settings.seed)


def _n_failed(answers: Sequence[Mapping[str, Any]]) -> int:
    return sum(answer["status"] != 200 for answer in answers)


def _n_mixed(answers: Sequence[Mapping[str, Any]], expected: Mapping[str, list[list[str]]]) -> int:
    """Answers by neither release, or with another slate than the release they name gives."""
    good = [answer for answer in answers if answer["status"] == 200]
    return sum(
        _release(answer) not in expected or _items(answer["answer"]) != expected[_release(answer)][answer["question"]]
        for answer in good
    )


def _release(answer: Mapping[str, Any]) -> str:
    return str((answer["answer"] or {}).get("release_id"))


def _items(slate: Mapping[str, Any]) -> list[str]:
    return [item["item_id"] for item in slate["items"]]


@contextmanager
def running_rig(n_servers: int, n_workers: int) -> Iterator[Rig]:
    """Servers over a home and a Redis of their own, with MLflow away; nothing of it is left."""
    settings = load_settings()
    with ExitStack() as stack:
        home = Home(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slate-bench-"))))
        os.environ.pop("REDIS_URL", None)
        os.environ["SLATE_HOME"] = str(home.root)
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{free_port()}"  # where nobody listens
        os.environ["REDIS_URL"] = stack.enter_context(online_store(home))
        older, newer = (load_manifest(path) for path in _two_releases(home, settings))
        ports = tuple(free_port() for _ in range(n_servers))
        for port in ports:
            stack.enter_context(_server(home, port, n_workers))
        yield Rig(home, settings, older, newer, ports, n_workers)


def _two_releases(home: Home, settings: Settings) -> tuple[Path, Path]:
    """The release built, and the same with other rules."""
    store = BundleStore(home)
    older = store.keep(BUNDLE)
    return older, store.keep(with_other_rules(older, home.root / "newer", settings.seed))


def with_other_rules(bundle: Path, folder: Path, seed: int) -> Path:
    """Make another release at `folder`: the same with slates that are more mixed, and golden answers of its own."""
    shutil.copytree(bundle, folder)
    release, manifest = load_bundle(bundle), load_manifest(bundle)
    rules = release.request.model_copy(update={"relevance_weight": 0.5})
    _rewrite(folder / RULES, **rules.model_dump(mode="json"))
    measured = measured_with(FittedArtefacts.below(folder / MEASURED), release.schemas, rules)
    _rewrite(folder / EVALUATION, built_with=measured)
    values = FeatureValues.load(folder / VALUES_FOLDER)
    shutil.rmtree(folder / GOLDEN)
    other = replace(release, request=rules)
    n_golden = make_golden(folder / GOLDEN, other, values, [{"gender": "F"}], manifest.golden, seed)
    name_parts(folder)
    params = {**manifest.params, "request": rules.model_dump(mode="json")}
    replace(manifest, params=params, golden=n_golden, files=list_files(folder)).save(folder)
    return folder


def _rewrite(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_bytes()) | changes
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


@contextmanager
def _server(home: Home, port: int, n_workers: int) -> Iterator[None]:
    with (home.root / f"server-{port}.log").open("wb") as log:
        command = [*SLATE, "serve", "--port", str(port), "--workers", str(n_workers)]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            server.terminate()
            server.wait()


@contextmanager
def steady_load(rig: Rig, questions: Sequence[bytes], rate: int) -> Iterator[list[dict[str, Any]]]:
    """Ask meanwhile; the answers are in the list afterwards, in the order in which they came."""
    asked, answered = rig.home.root / "questions.jsonl", rig.home.root / "answers.jsonl"
    asked.write_bytes(b"\n".join(questions))
    answers: list[dict[str, Any]] = []
    addresses = ",".join(f"127.0.0.1:{port}" for port in rig.ports)
    with answered.open("wb") as output:
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.steady_load", addresses, str(rate), str(asked)],
            stdin=subprocess.PIPE,
            stdout=output,
        )
        try:
            _wait(lambda: answered.stat().st_size > 0)
            _check_spread(rig, load.pid)
            yield answers
        finally:
            load.communicate()
    answers.extend(json.loads(line) for line in answered.read_bytes().splitlines())


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


def _questions(rig: Rig) -> list[bytes]:
    values = FeatureValues.load(BundleStore(rig.home).path(rig.older.release_id) / VALUES_FOLDER)
    people = values.users["user_id"].to_list()
    step = max(len(people) // N_QUESTIONS, 1)
    return [json.dumps({"user_id": person, "k": 10}).encode() for person in people[::step][:N_QUESTIONS]]


def _post(connection: http.client.HTTPConnection, body: bytes) -> dict[str, Any]:
    connection.request("POST", "/v1/recommend", body, {"content-type": "application/json"})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


def _n_answering(port: int, release_id: str) -> int:
    """How many workers of a server answer production with this release."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
    except OSError:
        return 0
    lines = [line for line in text.splitlines() if line.startswith("slate_release_info{") and release_id in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if 'arm="production"' in line)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            sys.exit("The servers do not come to answer; their logs are in SLATE_HOME.")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
