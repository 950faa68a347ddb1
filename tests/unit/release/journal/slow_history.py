"""The same answers as a view gives, each read from all entries at once: slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import PromotionRefused
from release.journal.entries import Action, Entry, Phase
from release.registry.state import RegistryState

SIGHTINGS = (Action.OBSERVE, Action.REGISTRY_WRITE)
# What is in production becomes another by these; a rebuild brings back what was there.
CHANGES = (Action.PROMOTE, Action.ROLLBACK, Action.REFRESH)


def served(entries: Sequence[Entry]) -> Entry | None:
    """The entry that put the release and generation now in production there; None before the first promotion."""
    moves = _put_in_production(entries)
    return moves[-1] if moves else None


def rollback_target(entries: Sequence[Entry], to: str | None = None) -> Entry:
    """The entry of the release to go back to, with the generation that was last served of it: the release before the
    one in production, or the one named.

    A rollback forgets what it went back from, so that two of them go two releases back instead of to and fro.
    Raises PromotionRefused when there is no such release.
    """
    moves = _put_in_production(entries)
    if to is None:
        earlier = _way_back(moves)[:-1]
        if not earlier:
            raise PromotionRefused(
                "No earlier release was in production: there is nothing to roll back to.",
                "Promote another version: `slate releases`, then `slate promote VERSION`.",
            )
        to = earlier[-1]
    been = [entry for entry in moves if entry.release_id == to]
    if not been:
        known = sorted({str(entry.release_id) for entry in moves})
        raise PromotionRefused(
            f"Release {to} was never in production; these were: {', '.join(known) or 'none'}.",
            "A release goes into production for the first time by promotion: `slate promote VERSION`.",
        )
    return been[-1]


def last_state(entries: Sequence[Entry]) -> RegistryState | None:
    """The registry as we last saw it or decided to write it; None when we never did."""
    for entry in reversed(entries):
        if entry.action in SIGHTINGS:
            return RegistryState.from_json(entry.figures["after"])
    return None


def open_intents(entries: Sequence[Entry], *actions: Action) -> list[Entry]:
    """Intents of these actions that nothing ended, oldest first: somebody is at it, or died over it."""
    ended = {entry.intent_id for entry in entries}
    return [
        entry for entry in entries if entry.action in actions and entry.phase is Phase.INTENT and entry.id not in ended
    ]


def _put_in_production(entries: Sequence[Entry]) -> list[Entry]:
    """What was done to production, a move each, in the order in which the pointer moved.

    That is the order of the intents: each was noted after its epoch was read, so after the move before it. Whoever
    moved the pointer may say so late, when a rollback has noted it already and gone back.
    """
    done = [entry for entry in entries if entry.action in CHANGES and entry.phase is Phase.DONE]
    by_intent = {entry.intent_id or entry.id: entry for entry in done}
    return [by_intent[intent] for intent in sorted(by_intent)]


def _way_back(moves: Sequence[Entry]) -> list[str | None]:
    """The release served last, below it those it replaced, none twice in a row."""
    way: list[str | None] = []
    for move in moves:
        if move.action is Action.ROLLBACK:
            way = _below(way, move.release_id)
        if way[-1:] != [move.release_id]:
            way.append(move.release_id)
    return way


def _below(way: list[str | None], release_id: str | None) -> list[str | None]:
    """What lies below the release, where it was last; the whole way where it is not on it."""
    if release_id not in way:
        return way
    return way[: len(way) - 1 - way[::-1].index(release_id)]


def since(entries: Sequence[Entry]) -> Entry | None:
    since: Entry | None = None
    for move in _put_in_production(entries):
        if since is None or move.release_id != since.release_id:
            since = move
    return since


def staged(entries: Sequence[Entry]) -> Entry | None:
    """The entry that put the version in Staging there; a version that goes on to Production leaves it."""
    now: Entry | None = None
    for entry in entries:
        if entry.phase is not Phase.DONE:
            continue
        if entry.action is Action.STAGE:
            now = entry if entry.release_id is not None else None
        elif entry.action in CHANGES and now is not None and now.release_id == entry.release_id:
            now = None
    return now


def token_shown(entries: Sequence[Entry], version: int) -> Entry | None:
    """The token that was shown for a version since it was last decided on."""
    for entry in reversed(entries):
        if entry.version == version and entry.action is Action.IDENTIFY:
            return entry
        if entry.version == version and entry.action in {Action.PROMOTE, Action.STAGE, Action.REFUSE}:
            return None
    return None


def last_generations(entries: Sequence[Entry]) -> list[str]:
    """The generations that were in production, the last first."""
    latest = dict.fromkeys(
        str(entry.generation_id)
        for entry in reversed(entries)
        if entry.action in CHANGES and entry.phase is Phase.DONE and entry.generation_id
    )
    return list(latest)
