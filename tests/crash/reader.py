"""A server without its socket: follows the pointer, asks again and again until told to stop, and then counts up.

Its last line is JSON: answers, mixed (not what its release and generation answer), failed (no answer), and the first
few of either.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import dataclass, field
from itertools import cycle
from types import FrameType
from typing import Any

from contracts.clock import FixedClock
from contracts.home import find_home
from contracts.slates import RecommendRequest
from feature_store.values.values import FeatureValues
from release.bundle.bundle_store import BundleStore
from serving.live.last_pointer import LastPointer
from serving.live.live_release import LiveRelease
from serving.live.production import OnlineProduction
from serving.metrics import Metrics
from tests.crash.stage_set import StageSet, crash_settings, items_of, questions

PAUSE_S = 0.01  # about 60 questions a second a reader, so that the publishers get their share of the cores
SHOWN = 3


@dataclass
class Tally:
    """What the answers were."""

    answers: int = 0
    mixed: int = 0
    failed: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def note(self, kind: str, what: dict[str, Any]) -> None:
        """Count one that is wrong, and keep the first few."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.shown) < SHOWN:
            self.shown.append({"kind": kind, **what})


def main() -> None:
    """Ask until SIGTERM."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    home, settings = find_home(), crash_settings()
    stage_set = StageSet.load(home)
    asked = {
        release_id: cycle(questions(FeatureValues.load(BundleStore(home).path(release_id) / "values")))
        for release_id, _ in stage_set.pairs
    }
    production = OnlineProduction(home, settings.app, settings.serving)
    live = LiveRelease(
        production,
        LastPointer(home, f"{settings.app}-reader-{sys.argv[1]}"),
        lambda release: FixedClock(release.as_of),
        Metrics(),
        settings.serving,
    )
    live.start()
    tally = Tally()
    while live.current is None and not stop.wait(PAUSE_S):
        pass
    print("ready", flush=True)
    while not stop.wait(PAUSE_S):
        _ask(live, stage_set, asked, tally)
    live.stop()
    print(json.dumps(tally.__dict__), flush=True)


def _ask(live: LiveRelease, stage_set: StageSet, asked: dict[str, cycle[RecommendRequest]], tally: Tally) -> None:
    lineup = live.current
    assert lineup is not None
    served = lineup.production
    pair = (served.release.release_id, served.reader.generation_id)
    request = next(asked[pair[0]])
    try:
        slate = served.answer(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person got no slate
        tally.note("failed", {"request": request.request_id, "error": repr(error)})
        return
    tally.answers += 1
    if slate.degraded:
        tally.note("failed", {"request": request.request_id, "without": slate.degraded, "pair": pair})
    elif not stage_set.is_whole(slate):
        tally.note("mixed", {"request": request.request_id, "pair": pair, "items": items_of(slate)})


if __name__ == "__main__":
    main()
