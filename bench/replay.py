"""Are logged requests answered again as a server answered them, byte for byte?

    python -m bench.replay [--workspace FOLDER] [--requests N]

Run it in a checkout where `dvc repro release` has finished. A server with real Redis serves five releases in turn (the
one built, and four with other rules: diversity, exploration) from two generations; people and visitors drawn by the
seed ask it over HTTP, some of them with reasons, and click between. Then this process answers what the request log
holds, from the bundles and generations that the home keeps.

Limit: no difference; where there is one, it says so and exits with 1. Answers that the server gave without something
(under load) are told apart: they cannot be given again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import print_figures, print_table
from bench.two_releases import Rig, running_rig, with_other_rules, without_a_history
from bench.yardstick import SEED, yardstick_ms
from feature_store.online.connection import connect
from feature_store.server.embedded_redis import online_store
from feature_store.values.values import FeatureValues
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import VALUES_FOLDER, Manifest, load_manifest
from release.journal.journal import Journal
from release.promotion.switch import open_switch
from release.replay.replay import Outcome, counts, replay_logged
from release.replay.request_log import latest_answers

OTHER_RULES = (
    {"relevance_weight": 0.8},
    {"exploration_share": 0.3},
    {"relevance_weight": 0.6, "exploration_share": 0.5},
)
CLICK_SHARE, EXPLAIN_SHARE, VISITOR_SHARE = 0.3, 0.2, 0.2
WRITTEN_WITHIN_S = 30.0


def main() -> None:
    """Ask a server, answer again, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--requests", type=int, default=10_000)
    asked = parser.parse_args()
    # The server that starts in the workspace is of this checkout, also where the workspace is another one.
    os.environ |= {"PYTHONPATH": str(Path.cwd()), "PYTHONSAFEPATH": "1"}
    y_ms = yardstick_ms()
    with chdir(asked.workspace), running_rig(1, 1) as rig:
        manifests = [rig.older, rig.newer, *_further_releases(rig)]
        people, items = _known(rig)
        for number, manifest in enumerate(manifests):
            rig.promote(manifest)
            rng = np.random.default_rng([SEED, number])
            _ask(rig.ports[0], _questions(rng, people, items, asked.requests // len(manifests)))
        n_asked = len(manifests) * (asked.requests // len(manifests))
        with online_store(rig.home) as url, connect(url) as client:
            answers = _when_written(client, rig.settings.app, n_asked)
        began = time.perf_counter()
        replayed = list(replay_logged(rig.home, answers))
        seconds = time.perf_counter() - began
    outcomes = counts(replayed)
    print_table(["outcome", "requests"], [[outcome, count] for outcome, count in outcomes.items()])
    generations = {one.generation_id for one in answers}
    print(
        f"{len(manifests)} releases, {len(generations)} generations; answered again in {seconds:.0f} s; Y {y_ms:.1f} ms"
    )
    differences = len(replayed) - outcomes[Outcome.SAME] - outcomes[Outcome.DEGRADED]
    figures = {"requests": len(replayed), "differences": differences, "releases": len(manifests)}
    print_figures(
        "replay",
        {**figures, "generations": len(generations), "degraded": outcomes[Outcome.DEGRADED], "y_ms": round(y_ms, 2)},
        data=f"release {rig.older.release_id}",
        seed=SEED,
    )
    if differences or len(replayed) < n_asked:
        sys.exit(f"{differences} answers differ or are gone, of {n_asked} asked {len(replayed)} were logged.")


def _further_releases(rig: Rig) -> Iterator[Manifest]:
    """The release built with other rules, every second one with the other generation; their values are published."""
    store = BundleStore(rig.home)
    built = store.path(rig.older.release_id)
    other_values = without_a_history(FeatureValues.load(built / VALUES_FOLDER))
    for number, rules in enumerate(OTHER_RULES):
        folder = rig.home.root / f"further-{number}"
        manifest = load_manifest(
            store.keep(with_other_rules(built, folder, SEED, other_values if number % 2 else None, rules))
        )
        with open_switch(rig.home, rig.settings, Journal(rig.home, rig.settings.app)) as switch:
            switch.publish(manifest.release_id, manifest.generation_id)
        yield manifest


def _known(rig: Rig) -> tuple[list[str], list[str]]:
    values = FeatureValues.load(BundleStore(rig.home).path(rig.older.release_id) / VALUES_FOLDER)
    return values.users["user_id"].to_list(), values.items["item_id"].to_list()


def _questions(
    rng: np.random.Generator, people: Sequence[str], items: Sequence[str], n_questions: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths with what is sent to them: questions, and clicks before some of them."""
    for number in range(n_questions):
        who: dict[str, Any] = {"session_id": f"visit-{rng.integers(n_questions // 4 + 1)}"}
        if rng.random() >= VISITOR_SHARE:
            who["user_id"] = str(rng.choice(people))
        if rng.random() < CLICK_SHARE:
            yield "/v1/events", {"event_type": "click", "item_id": str(rng.choice(items)), **who}
        beside = {"surface": "item", "item_id": str(rng.choice(items))} if number % 10 == 0 else {}
        yield "/v1/recommend", {**who, **beside, "k": 10, "explain": bool(rng.random() < EXPLAIN_SHARE)}


def _ask(port: int, questions: Iterator[tuple[str, dict[str, Any]]]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for path, body in questions:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in (200, 202):
                sys.exit(f"{path} answered {answer.status}: {content[:300]!r}")


def _when_written(client: Any, app: str, n_asked: int) -> list[Any]:
    """The log's answers, as soon as all are there: it is written a moment later."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while True:
        answers, _ = latest_answers(client, app, n_asked)
        if len(answers) >= n_asked or time.monotonic() > deadline:
            return answers
        time.sleep(0.2)


if __name__ == "__main__":
    main()
