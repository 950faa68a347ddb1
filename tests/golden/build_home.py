"""Builds the SLATE_HOME that tests of later code must take over, with the code of an earlier commit.

Run `python -m tests.golden.build_home COMMIT`: it clones that commit, lets it build, register, promote, refresh and
serve releases of a very small world as a user would, and packs what it left, with the answers that it gave then.
Run it again when what stands in a SLATE_HOME changes; the archives of earlier commits stay as they are.

    home_<commit>.tar.xz    home/            the SLATE_HOME; MLflow's database names it by the path it then had
                            recorded.json    `root`: that path; and what the commands of that commit answered
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml import YAML

from contracts.tables import CanonicalTables
from feature_store.server.server_program import free_port
from tests.worlds import small_world

READY_WITHIN_S = 120.0  # of an API that is not ready; one that ended says so at once
HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
FITS = tuple(f"{stage} {cutoff}" for cutoff in ("test", "all") for stage in ("candidates", "index", "ranking"))
# Models that take seconds, and limits that a world of twenty people on a slow machine keeps within.
SMALL = {
    "features": {"n_snapshots": 3, "snapshot_step_share": 0.1, "history_length": 50},
    "index": {"recall_k": 10},
    "ranking": {"n_trees": 6, "n_leaves": 4, "min_rows_per_leaf": 20, "early_stopping_rounds": 3},
    "evaluate": {"n_bootstrap": 100},
    "release": {"n_golden_queries": 9},
    "promotion": {"max_ndcg_loss": 1.0, "max_p99_ms": 60_000, "min_ndcg": 0.0},
}
PEOPLE = [f"u{number}" for number in range(500, 510)]
ANSWERED = ("arm", "tier", "release_id", "generation_id", "items", "degraded")
# Saved again, a ranker has no picture of its features: pictures would be most of the archive. As that commit names it.
WITHOUT_PICTURES = """
import pathlib, shutil
try:
    from recommender.ranking.ranker import Ranker
except ImportError:
    from recommender.ranker import Ranker
for folder in pathlib.Path("models/ranking").iterdir():
    ranker = Ranker.load(folder)
    shutil.rmtree(folder)
    ranker.save(folder)
"""
PREDICT = """
import json, sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
people = pandas.DataFrame({"user_id": json.loads(sys.argv[3]), "k": 5})
print(mlflow.pyfunc.load_model(f"models:/movies/{sys.argv[2]}").predict(people).to_json(orient="records"))
"""


@dataclass(frozen=True)
class Before:
    """A clone of the earlier commit, and the SLATE_HOME that its commands work on."""

    folder: Path
    home: Path

    def python(self, *words: str) -> str:
        """What Python prints in the clone, which its own rooms are imported from."""
        command, environment = [sys.executable, *words], self._environment
        done = subprocess.run(command, cwd=self.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    @property
    def _environment(self) -> dict[str, str]:
        stores = {"REDIS_URL", "MLFLOW_TRACKING_URI", "SLATE_JOURNAL_URL", "SLATE_APP"}
        inherited = {name: value for name, value in os.environ.items() if name not in stores}
        return inherited | {
            "SLATE_HOME": str(self.home),
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "ignore",  # what foreign libraries say
        }

    def slate(self, *words: str) -> Any:
        """What `slate ... --json` answers."""
        return json.loads(self.python("-m", "cli.main", *words, "--json"))

    def set_params(self, changes: dict[str, dict[str, Any]]) -> None:
        """Write parameters over those of params.yaml, and commit them, as a user would."""
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        for group, values in changes.items():
            params[group].update(values)
        yaml.dump(params, path)
        identity = ["-c", "user.name=golden", "-c", "user.email=golden@localhost"]
        subprocess.run(["git", *identity, "commit", "--quiet", "-am", "params"], cwd=self.folder, check=True)

    def set_tables(self, tables: CanonicalTables) -> None:
        """Put tables where `validate` leaves them."""
        tables.save(self.folder / "data" / "valid")
        (self.folder / "reports").mkdir(exist_ok=True)
        (self.folder / "reports" / "validation.json").write_text(json.dumps({"success": True}) + "\n")

    def build_release(self) -> None:
        """Run the stages that make a release out of valid tables."""
        self.run("features", *FITS)
        self.python("-c", WITHOUT_PICTURES)
        self.run("evaluate", "release")
        for picture in (self.folder / "reports").rglob("*.png"):
            picture.unlink()

    def run(self, *stages: str) -> None:
        """Run stages as `dvc repro` does."""
        for stage in stages:
            name, *cutoff = stage.split()
            self.python("-m", f"pipelines.{name}", *cutoff)

    def predict(self, version: int) -> Any:
        """What the model that MLflow keeps of this version answers."""
        database = f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"
        return json.loads(self.python("-c", PREDICT, database, str(version), json.dumps([*PEOPLE[:3], "nobody"])))

    @contextmanager
    def server(self) -> Iterator[str]:
        """The address of an API of that commit, ready to answer."""
        port = free_port()
        command = [sys.executable, "-m", "cli.main", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=self.folder, env=self._environment)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(address, process)
            yield address
        finally:
            process.terminate()
            process.wait()


def build(commit: str, archive: Path) -> None:
    """A home in which version 2 is in production with refreshed values, and version 1 is canary for half the people."""
    with tempfile.TemporaryDirectory() as scratch:
        before = Before(Path(scratch) / "checkout", Path(scratch) / "home")
        subprocess.run(["git", "clone", "--quiet", "--shared", CHECKOUT, before.folder], check=True)
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=before.folder, check=True)
        recorded = {"commit": commit, "root": str(before.home), **_lived_in(before)}
        with tarfile.open(archive, "w:xz", preset=9) as packed:
            packed.add(before.home, "home", filter=_worth_keeping)
            _add_text(packed, "recorded.json", json.dumps(recorded, indent=1, sort_keys=True))


def _lived_in(before: Before) -> dict[str, Any]:
    """Everything a user does with a SLATE_HOME, and what was answered to it."""
    world = small_world(n_users=20, n_items=16, n_events=700, n_days=4)  # dense enough for counts by the hour
    before.set_params(SMALL)
    before.set_tables(world)
    before.build_release()
    before.slate("register")
    before.slate("promote", "1")
    first = _answers(before)
    before.set_params({"ranking": {"n_trees": 9, "n_leaves": 5}})
    before.build_release()
    before.slate("register")
    before.slate("promote", "2", "--accept", "of the same data")
    before.set_tables(_hours_later(world))
    before.run("features")
    before.slate("refresh")
    second = _answers(before)
    before.slate("canary", "start", "1", "--share", "0.5")
    during_canary = _answers(before)
    _send_events(before)
    return {
        "answers": {"version_1": first, "version_2": second, "canary": during_canary},
        "predictions": {"1": before.predict(1), "2": before.predict(2)},
        "releases": before.slate("releases"),
        "journal": before.slate("journal", "--limit", "0"),
    }


def _hours_later(world: CanonicalTables) -> CanonicalTables:
    """The world with one more visit of somebody, so that its values are fresher."""
    last = world.interactions.tail(1)
    visit = last.with_columns(pl.col("event_ts") + timedelta(hours=6), user_id=pl.lit(PEOPLE[0]))
    return CanonicalTables(pl.concat([world.interactions, visit]), world.items, world.users)


def _answers(before: Before) -> dict[str, Any]:
    """What the API answers to some people, to a newcomer, and beside an item."""
    questions: dict[str, dict[str, Any]] = {user_id: {"user_id": user_id, "k": 5} for user_id in PEOPLE}
    questions["newcomer"] = {"preferences": {"categories": ["comedy"]}, "context": {"age": "30"}, "k": 5}
    questions["beside"] = {"user_id": PEOPLE[1], "surface": "item", "item_id": "i1003", "k": 5}
    with before.server() as address:
        return {
            name: {"asked": asked, **{key: slate[key] for key in ANSWERED}}
            for name, asked in questions.items()
            for slate in [_post(f"{address}/v1/recommend", asked)]
        }


def _send_events(before: Before) -> None:
    """A click of somebody who is not asked about: Redis forgets it after some days, and then an answer would differ."""
    event = {"event_type": "click", "user_id": "u515", "item_id": "i1003"}
    with before.server() as address:
        _post(f"{address}/v1/events", event)


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        reply: dict[str, Any] = json.load(answer)
        return reply


def _wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while process.poll() is None:
        if time.monotonic() > deadline:
            sys.exit(f"the API of the earlier commit at {address} was not ready after {READY_WITHIN_S:g} s")
        with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=2) as answer:
            canary = json.load(answer)["canary"]
            if canary is None or canary["ready"]:
                return
        time.sleep(0.05)
    sys.exit("the API of the earlier commit did not start")


def _worth_keeping(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out locks, logs and what Python compiled."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if member.name.endswith((".pyc", "__pycache__", ".lock", ".log")) else member


def _add_text(packed: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    packed.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    (named,) = sys.argv[1:]
    target = HERE / f"home_{named[:7]}.tar.xz"
    if target.exists():
        sys.exit(f"{target} exists. A home that later code must take over is not written again.")
    build(named, target)
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n")
