"""Builds the journal whose checkpoint tests of later code must come to: every action, and more moves than stay apart.

Run `python -m tests.golden.build_journal` when entries are folded in another way, and `checkpoints.VIEW` has another
number: the files are named by it. Look at the difference of the JSON before you commit it.

    journal_view_<number>.sql     entries of two applications, and checkpoints of both with the last entries behind them
    journal_view_<number>.json    what the entries come to, in a form of its own
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.home import Home
from release.journal import journal as journal_module
from release.journal.checkpoints import VIEW
from release.journal.entries import Action, CanaryStep, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView
from release.registry.state import RegistryState, Stage

HERE = Path(__file__).resolve().parent
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAME = f"journal_{VIEW.replace(':', '_')}"


def described(view: JournalView) -> dict[str, Any]:
    """All that a view says, entries by their ids."""
    trail = view.moves.trail
    return {
        "entries": view.n_entries,
        "last": view.last_id,
        "latest_ts": view.latest_ts and view.latest_ts.isoformat(),
        "production": _id(view.production),
        "production_since": _id(view.production_since),
        "rollback_target": view.rollback_target().id,
        "rollback_targets": {release_id: view.rollback_target(release_id).id for release_id in sorted(trail.latest)},
        "way": list(trail.way),
        "staging": _id(view.staging),
        "sighting": _id(view.sighting),
        "intents": sorted(view.intents),
        "tokens": {str(version): entry.id for version, entry in sorted(view.tokens.items())},
        "canary": [entry.id for entry in view.canary_entries],
        "canary_runs": view.canary_runs,
        "generations": list(view.generation_ids),
    }


def _id(entry: Entry | None) -> int | None:
    return entry and entry.id


@dataclass
class JumpingClock:
    """Half a minute further each time; every tenth time it has gone back by an hour."""

    n_asked: int = 0

    def now(self) -> datetime:
        self.n_asked += 1
        back = timedelta(hours=self.n_asked % 10 == 0)
        return START + self.n_asked * timedelta(seconds=30.25) - back


@dataclass(frozen=True)
class Writer:
    """Writes the entries of one application as the product does."""

    journal: Journal

    def begin(self, action: Action, release: str, generation: str, version: int | None = None) -> Entry:
        return self.journal.append(Note(action, Phase.INTENT, release, generation, version, requester="cli:ada"))

    def end(self, intent: Entry, phase: Phase = Phase.DONE) -> None:
        self.journal.append(intent.note.ended(phase, intent))

    def move(self, action: Action, release: str, generation: str, version: int | None = None) -> None:
        self.end(self.begin(action, release, generation, version))

    def say(self, action: Action, release: str | None = None, version: int | None = None, **figures: Any) -> None:
        self.journal.append(Note(action, Phase.DONE, release, None, version, requester="slate", figures=figures))

    def change_canary(self, step: CanaryStep, release: str, beside: str, share: float) -> None:
        figures = {"step": str(step), "share": share, "salt": "s-1", "started_ts": 7, "beside": beside}
        intent = self.journal.append(Note(Action.CANARY, Phase.INTENT, release, "g-c1", 5, figures=figures))
        self.end(intent)

    def see_registry(self, action: Action, version: int) -> None:
        after = RegistryState({version: Stage.PRODUCTION}).to_json()
        self.say(action, after=after, before=RegistryState({}).to_json())


def write(movies: Writer) -> None:
    """What comes before the checkpoint."""
    movies.say(Action.IDENTIFY, version=1)
    movies.move(Action.PROMOTE, "r-a", "g-a0", 1)  # uses the token up
    movies.see_registry(Action.REGISTRY_WRITE, 1)
    for number in range(1, 41):
        movies.move(Action.REFRESH, "r-a", f"g-a{number}", 1)
    movies.end(movies.begin(Action.PROMOTE, "r-x", "g-x0", 9), Phase.FAILED)
    movies.move(Action.PROMOTE, "r-b", "g-b0", 2)
    movies.change_canary(CanaryStep.START, "r-a", "r-b", 0.1)
    movies.move(Action.ROLLBACK, "r-a", "g-a40", 1)  # ends that canary; folded together with the older moves
    movies.move(Action.REBUILD, "r-a", "g-a40", 1)
    movies.move(Action.PROMOTE, "r-c", "g-c0", 3)
    for number in range(1, 61):
        movies.move(Action.REFRESH, "r-c", f"g-c{number}", 3)
    movies.move(Action.STAGE, "r-e", "g-e0", 5)
    movies.move(Action.PROMOTE, "r-d", "g-d0", 4)
    movies.move(Action.ROLLBACK, "r-c", "g-c60", 3)
    late = movies.begin(Action.PROMOTE, "r-b", "g-b1", 2)
    movies.move(Action.REFRESH, "r-c", "g-c61", 3)
    movies.end(late)  # it was in production before the refresh
    movies.say(Action.REFUSE, "r-f", 6)
    movies.say(Action.IDENTIFY, version=6)
    movies.say(Action.IDENTIFY, version=7)
    movies.say(Action.IDENTIFY, version=6)
    movies.say(Action.RECORD, "r-c", 3, commit="c0ffee")
    movies.say(Action.COLLECT)
    movies.see_registry(Action.OBSERVE, 3)
    for step, share in (("START", 0.1), ("SHARE", 0.2), ("RESTORE", 0.2), ("SHARE", 0.3), ("RESTORE", 0.3)):
        movies.change_canary(CanaryStep[step], "r-e", "r-c", share)
    movies.change_canary(CanaryStep.SHARE, "r-e", "r-c", 0.5)
    movies.begin(Action.REFRESH, "r-c", "g-c62", 3)
    movies.begin(Action.STAGE, "r-f", "g-f0", 6)
    movies.say(Action.RECORD, "r-c", 3, commit="facade")  # the clock has gone back: an entry before it is later


def main() -> None:
    """Write both files; refuses where there are any."""
    files = [HERE / f"{NAME}{ending}" for ending in (".sql", ".json")]
    if any(path.exists() for path in files):
        sys.exit(f"{files[0]} exists. What later code must come to is not written again: give `VIEW` another number.")
    journal_module.ENTRIES_PER_CHECKPOINT = 1
    with tempfile.TemporaryDirectory() as folder:
        home, clock = Home(Path(folder)), JumpingClock()
        movies, shop = (Journal(home, app, clock) for app in ("movies", "shop"))
        Writer(shop).move(Action.PROMOTE, "s-a", "g-s0", 1)
        write(Writer(movies))
        Writer(shop).move(Action.PROMOTE, "s-b", "g-s1", 2)
        for journal in (movies, shop):
            journal.keep_checkpoint()
        Writer(movies).say(Action.RECORD, "r-c", 3, commit="decade")
        with closing(sqlite3.connect(home.journal_database)) as connection:
            files[0].write_text("\n".join(connection.iterdump()) + "\n")
        view = Journal(home, "movies").view()
        files[1].write_text(json.dumps(described(view), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
