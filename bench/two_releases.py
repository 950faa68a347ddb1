"""Servers over a home and a Redis of their own, and two releases that they are switched between."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.ranking import SEED, heavy_ranker
from contracts.home import Home
from contracts.json_file import write_json
from contracts.settings.settings import Settings, load_settings
from feature_store.server.embedded_redis import online_store
from feature_store.server.server_program import free_port
from feature_store.values.values import FeatureValues
from pipelines.paths import BUNDLE
from recommender.ranking.ranker import Ranker
from release.bundle.bundle import EVALUATION, MEASURED, RULES, FittedArtefacts, Release, load_bundle, measured_with
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import VALUES_FOLDER, Manifest, list_files, load_manifest
from release.bundle.parts import GOLDEN, name_parts
from release.golden.golden_queries import make_golden
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.promotion.switch import open_switch

SLATE = (sys.executable, "-m", "cli.main")
LOG_LINES = 20  # of each server, where it does not answer
MORE_MIXED: Mapping[str, Any] = {"relevance_weight": 0.5}  # slates show by it which release made them
RANKING = "ranking"  # of a bundle
WITHIN_S = 120.0  # for anything that a benchmark waits for


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
        with open_switch(self.home, self.settings, journal) as switch:
            switch.move(note)
        self.wait_for(manifest)

    def wait_for(self, manifest: Manifest) -> None:
        """Until every worker of every server answers with this release."""
        for port in self.ports:
            wait_until(lambda port=port: _n_answering(port, manifest.release_id) == self.n_workers, self.home)

    def slates(self, questions: Sequence[bytes]) -> list[tuple[str, ...]]:
        """What is in production now answers to these questions."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=WITHIN_S)) as connection:
            return [item_ids(_post(connection, question)) for question in questions]


def item_ids(slate: Mapping[str, Any]) -> tuple[str, ...]:
    """The items of an answer, in their order."""
    return tuple(item["item_id"] for item in slate["items"])


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
    """The release built, and the same with other rules and a generation of its own: a mix of the two shows."""
    store = BundleStore(home)
    older = store.keep(BUNDLE)
    values = without_a_history(FeatureValues.load(older / VALUES_FOLDER))
    return older, store.keep(with_other_rules(older, home.root / "newer", settings.seed, values))


def without_a_history(values: FeatureValues) -> FeatureValues:
    """The values, but for one person's history: another generation."""
    return replace(values, histories=values.histories[:-1])


def with_other_rules(
    bundle: Path,
    folder: Path,
    seed: int,
    own_values: FeatureValues | None = None,
    rules: Mapping[str, Any] = MORE_MIXED,
) -> Path:
    """Make another release at `folder`: the same with other rules, and golden answers of its own.

    own_values: of its generation; without them, it has that of the bundle.
    """
    shutil.copytree(bundle, folder)
    release = load_bundle(bundle)
    values = own_values or FeatureValues.load(folder / VALUES_FOLDER)
    if own_values:
        own_values.save(folder / VALUES_FOLDER)
    _describe_anew(folder, release.with_rules(**rules), values, seed)
    return folder


def heavy_release(rig: Rig) -> Manifest:
    """The release with a ranker of 300 trees of 63 leaves, and 500 candidates for it where there are so many."""
    store = BundleStore(rig.home)
    return load_manifest(store.keep(with_heavy_ranker(store.path(rig.older.release_id), rig.home.root / "heavy")))


def with_heavy_ranker(bundle: Path, folder: Path) -> Path:
    """Make another release at `folder`: the same with a ranker of 300 trees of 63 leaves, and candidates for it.

    It learns from random rows; every generator may propose three times as many, so that 500 are ranked.
    """
    shutil.copytree(bundle, folder)
    release = load_bundle(bundle)
    shutil.rmtree(folder / RANKING)
    heavy_ranker(release.ranker.feature_names, release.ranker.built_with).save(folder / RANKING)
    quotas = {name: 3 * quota for name, quota in release.request.quotas.items()}
    heavy = replace(release.with_rules(quotas=quotas, n_ranked=500), ranker=Ranker.load(folder / RANKING))
    _describe_anew(folder, heavy, FeatureValues.load(folder / VALUES_FOLDER), SEED)
    return folder


def _describe_anew(folder: Path, release: Release, values: FeatureValues, seed: int) -> None:
    """Let everything else in the bundle say what this release is: rules, evaluation, golden queries, manifest."""
    manifest, rules = load_manifest(folder), release.request.model_dump(mode="json")
    _rewrite(folder / RULES, **rules)
    measured = measured_with(FittedArtefacts.below(folder / MEASURED), release.schemas, release.request)
    _rewrite(folder / EVALUATION, built_with=measured)
    shutil.rmtree(folder / GOLDEN)
    other = replace(release, generation_id=values.generation_id)
    n_golden = make_golden(folder / GOLDEN, other, values, [{"gender": "F"}], manifest.golden, seed)
    name_parts(folder)
    shipped = FittedArtefacts.below(folder).fingerprints
    described = {"generation_id": values.generation_id, "golden": n_golden, "files": list_files(folder)}
    artefacts = {**manifest.artefacts, "shipped": shipped}
    replace(manifest, params={**manifest.params, "request": rules}, artefacts=artefacts, **described).save(folder)


def _rewrite(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_bytes()) | changes
    write_json(content, path)


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


def wait_until(holds: Callable[[], bool], home: Home) -> None:
    """Look again and again; where it takes too long, say how the servers' logs end, for they are removed, and exit."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"The servers do not come to answer.\n{_log_ends(home)}")
        time.sleep(0.05)


def _log_ends(home: Home) -> str:
    logs = sorted(home.root.glob("server-*.log"))
    return "\n".join(line for log in logs for line in [f"{log.name}:", *log.read_text().splitlines()[-LOG_LINES:]])
