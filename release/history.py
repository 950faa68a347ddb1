"""What the journal's entries say: what is in production, where a rollback goes, what was last known of the registry.

Pure reading: entries of one application in, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import PromotionRefused
from release.journal_entries import Action, Entry, Phase
from release.registry_state import RegistryState

SIGHTINGS = (Action.OBSERVE, Action.REGISTRY_WRITE)
CHANGES = (Action.PROMOTE, Action.ROLLBACK)  # of what is in production; a rebuild brings back what was there


def served(entries: Sequence[Entry]) -> Entry | None:
    """The entry that put the release now in production there; None before the first promotion."""
    stack = _releases_in_production(entries)
    return stack[-1] if stack else None


def rollback_target(entries: Sequence[Entry], to: str | None = None) -> Entry:
    """The entry of the release to go back to: the one before the release in production, or the one named.

    A rollback forgets what it went back from, so that two of them go two releases back instead of to and fro.
    Raises PromotionRefused when there is no such release.
    """
    earlier = [entry for entry in _releases_in_production(entries) if entry.release_id != _release_served(entries)]
    if to is None:
        if not earlier:
            raise PromotionRefused(
                "No earlier release was in production: there is nothing to roll back to.",
                "Promote another version: `slate releases`, then `slate promote VERSION`.",
            )
        return earlier[-1]
    put_there = _put_in_production(entries)
    been = [entry for entry in put_there if entry.release_id == to]
    if not been:
        known = sorted({str(entry.release_id) for entry in put_there})
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


def _release_served(entries: Sequence[Entry]) -> str | None:
    now = served(entries)
    return now.release_id if now else None


def _put_in_production(entries: Sequence[Entry]) -> list[Entry]:
    """What was done to production, a move each, in the order in which the pointer moved.

    That is the order of the intents: each was noted after its epoch was read, so after the move before it. Whoever
    moved the pointer may say so late, when a rollback has noted it already and gone back.
    """
    done = [entry for entry in entries if entry.action in CHANGES and entry.phase is Phase.DONE]
    by_intent = {entry.intent_id or entry.id: entry for entry in done}
    return [by_intent[intent] for intent in sorted(by_intent)]


def _releases_in_production(entries: Sequence[Entry]) -> list[Entry]:
    """The way back: the release served last, those it replaced before it, none twice in a row."""
    stack: list[Entry] = []
    for entry in _put_in_production(entries):
        if entry.action is Action.ROLLBACK:
            stack = _back_to(stack, entry.release_id)
        elif stack and stack[-1].release_id == entry.release_id:
            stack.pop()
        stack.append(entry)
    return stack


def _back_to(stack: list[Entry], release_id: str | None) -> list[Entry]:
    """What lies below the release in the stack; the whole stack where it is not in it."""
    for position in range(len(stack) - 1, -1, -1):
        if stack[position].release_id == release_id:
            return stack[:position]
    return stack
