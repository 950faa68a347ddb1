"""What the entries of one application come to: what is in production, where a rollback goes, what is still open.

A view is extended by the entries that came since, and equals the view of all entries at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import NoReturn

from contracts.errors import PromotionRefused
from release.journal.entries import Action, CanaryStep, Entry, Phase
from release.journal.moves import Move, Moves
from release.registry.state import RegistryState

SIGHTINGS = (Action.OBSERVE, Action.REGISTRY_WRITE)
# What is in production becomes another by these; a rebuild brings back what was there.
CHANGES = (Action.PROMOTE, Action.ROLLBACK, Action.REFRESH)
DECISIONS = (Action.PROMOTE, Action.STAGE, Action.REFUSE)  # a token that was shown for a version holds until one
N_GENERATIONS = 1000  # publish.keep_generations allows no more


LOG = logging.getLogger(__name__)


def _nowhere(number: int) -> NoReturn:
    raise LookupError(f"entry {number} was not folded, and there is no journal to read it from")


def put_in_production(entry: Entry, release_id: str) -> bool:
    """Whether an entry says that a generation of this release went into production."""
    return entry.action in CHANGES and entry.phase is Phase.DONE and str(entry.release_id) == release_id


@dataclass(frozen=True)
class JournalView:
    """What the entries up to one of them, `last`, come to. It does not change when more entries are written.

    production: the entry that put the release and generation served there; staging: the same of Staging.
    sighting: the entry that last says how the registry stands. intents: those that nothing ended, by id.
    tokens: by version, the last IDENTIFY that no decision on the version followed.
    canary_entries: what was done about the canary that was started last: its start, and what came since then or since
    it was last restored, with the change of production that ended it. generation_ids: those that were in production,
    the last first. latest_ts: of any entry; clocks may go back. n_kept: how many of the n_entries a checkpoint stands
    for. read_entry: reads an entry by its id; None where there is none. refold: the view of all entries up to an id,
    without any checkpoint, for when what a checkpoint says shows to be wrong.
    """

    last: Entry | None = None
    n_entries: int = 0
    latest_ts: datetime | None = None
    production: Entry | None = None
    staging: Entry | None = None
    sighting: Entry | None = None
    intents: Mapping[int, Entry] = field(default_factory=dict)
    tokens: Mapping[int, Entry] = field(default_factory=dict)
    canary_entries: tuple[Entry, ...] = ()
    canary_runs: bool = False
    generation_ids: tuple[str, ...] = ()
    moves: Moves = field(default_factory=Moves)
    read_entry: Callable[[int], Entry | None] = field(default=_nowhere, compare=False, repr=False)
    refold: Callable[[int], JournalView] = field(default=_nowhere, compare=False, repr=False)
    n_kept: int = field(default=0, compare=False)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> JournalView:
        """The view of entries at hand: all of one application, oldest first."""
        by_id = {entry.id: entry for entry in entries}
        return cls(read_entry=by_id.get).extended(by_id.values())

    def extended(self, entries: Iterable[Entry]) -> JournalView:
        """The view with the entries that follow its last one.

        Raises LateMove where only the view of all entries is right: see `Moves`.
        """
        fold = _Fold(self)
        for entry in entries:
            fold.add(entry)
        return fold.view() if fold.last is not self.last else self

    @property
    def last_id(self) -> int:
        """The id of the last entry; 0 before the first."""
        return self.last.id if self.last else 0

    @cached_property
    def registry_state(self) -> RegistryState | None:
        """The registry as we last saw it or decided to write it; None when we never did."""
        return RegistryState.from_json(self.sighting.figures["after"]) if self.sighting else None

    @property
    def production_since(self) -> Entry | None:
        """The first entry of the unbroken row that kept the release in production there."""
        trail = self.moves.trail
        if trail.since is None:
            return None
        return self._move_of(trail.since, trail.way[-1]) or self.refold(self.last_id).production_since

    def open_intents(self, *actions: Action) -> list[Entry]:
        """Intents of these actions that nothing ended, oldest first: somebody is at it, or died over it."""
        return [intent for intent in self.intents.values() if intent.action in actions]

    def rollback_target(self, to: str | None = None) -> Entry:
        """The entry of the release to go back to, with the generation that was last served of it: the release before
        the one in production, or the one named.

        A rollback forgets what it went back from, so that two of them go two releases back instead of to and fro.
        Raises PromotionRefused when there is no such release.
        """
        trail = self.moves.trail
        release_id = self._release_before() if to is None else to
        if release_id not in trail.latest:
            raise PromotionRefused(
                f"Release {release_id} was never in production; these were: "
                f"{', '.join(sorted(trail.latest)) or 'none'}.",
                "A release goes into production for the first time by promotion: `slate promote VERSION`.",
            )
        return self._move_of(trail.latest[release_id], release_id) or self.refold(self.last_id).rollback_target(to)

    def _release_before(self) -> str:
        way = self.moves.trail.way
        if len(way) < 2:
            raise PromotionRefused(
                "No earlier release was in production: there is nothing to roll back to.",
                "Promote another version: `slate releases`, then `slate promote VERSION`.",
            )
        return way[-2]

    def _move_of(self, entry_id: int, release_id: str) -> Entry | None:
        """The entry of this id; None where it is none that put this release in production for this application."""
        entry = self.read_entry(entry_id)
        if entry and self.last and entry.app == self.last.app and put_in_production(entry, release_id):
            return entry
        LOG.warning(
            "A checkpoint of the journal is wrong: entry %d did not put release %s in production. All entries are "
            "read instead; `slate journal verify` says which checkpoint it is.",
            entry_id,
            release_id,
        )
        return None


class _Fold:
    """A view while entries are added to it."""

    def __init__(self, view: JournalView) -> None:
        self._before = view
        self.last, self.n_entries, self.latest_ts = view.last, view.n_entries, view.latest_ts
        self.production, self.staging, self.sighting = view.production, view.staging, view.sighting
        self.intents, self.tokens = dict(view.intents), dict(view.tokens)
        self.canary_entries, self.canary_runs = list(view.canary_entries), view.canary_runs
        self.generation_ids = dict.fromkeys(reversed(view.generation_ids))  # the last one last
        self.moves: list[Move] = []

    def view(self) -> JournalView:
        return replace(
            self._before,
            last=self.last,
            n_entries=self.n_entries,
            latest_ts=self.latest_ts,
            production=self.production,
            staging=self.staging,
            sighting=self.sighting,
            intents=self.intents,
            tokens=self.tokens,
            canary_entries=tuple(self.canary_entries),
            canary_runs=self.canary_runs,
            generation_ids=tuple(reversed(self.generation_ids))[:N_GENERATIONS],
            moves=self._before.moves.followed_by(self.moves),
        )

    def add(self, entry: Entry) -> None:
        self.last = entry
        self.n_entries += 1
        self.latest_ts = max(entry.ts, self.latest_ts or entry.ts)
        self._add_to_intents(entry)
        self._add_to_tokens(entry)
        if entry.action in SIGHTINGS:
            self.sighting = entry
        if entry.phase is Phase.DONE:
            self._add_to_staging(entry)
            self._add_to_canary(entry)
            self._add_to_production(entry)

    def _add_to_intents(self, entry: Entry) -> None:
        if entry.intent_id is not None:
            self.intents.pop(entry.intent_id, None)
        if entry.phase is Phase.INTENT:
            self.intents[entry.id] = entry

    def _add_to_tokens(self, entry: Entry) -> None:
        if entry.version is None:
            return
        if entry.action is Action.IDENTIFY:
            self.tokens[entry.version] = entry
        elif entry.action in DECISIONS:
            self.tokens.pop(entry.version, None)

    def _add_to_staging(self, entry: Entry) -> None:
        """A version that goes on to Production leaves Staging."""
        if entry.action is Action.STAGE:
            self.staging = entry if entry.release_id is not None else None
        elif entry.action in CHANGES and self.staging is not None and self.staging.release_id == entry.release_id:
            self.staging = None

    def _add_to_canary(self, entry: Entry) -> None:
        if entry.action is Action.CANARY:
            step = entry.figures.get("step")
            if step == CanaryStep.START:
                self.canary_entries, self.canary_runs = [], True
            elif step == CanaryStep.END:
                self.canary_runs = False
            elif step == CanaryStep.RESTORE and self.canary_runs:
                del self.canary_entries[1:]  # it says the share again, and its comparison begins anew
            self.canary_entries.append(entry)
        elif entry.action in CHANGES and self.canary_runs and entry.release_id != self._beside:
            self.canary_entries.append(entry)
            self.canary_runs = False

    @property
    def _beside(self) -> str:
        """The release that the running canary is compared with."""
        return str(self.canary_entries[0].figures["beside"])

    def _add_to_production(self, entry: Entry) -> None:
        if entry.action not in CHANGES:
            return
        move = Move.of(entry)
        if self.production is None or move.order >= Move.of(self.production).order:
            self.production = entry
        self.moves.append(move)
        if entry.generation_id:
            self.generation_ids.pop(entry.generation_id, None)
            self.generation_ids[entry.generation_id] = None
