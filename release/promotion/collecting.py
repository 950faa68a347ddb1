"""Which generations stay in the online store: the journal says, and whatever a pointer names stays anyway."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from contracts.errors import PromotionRefused, StoreError
from contracts.settings.publish import PublishSettings
from feature_store.online.connection import Client
from feature_store.publishing.garbage_collection import GarbageCollection, collect_garbage
from feature_store.publishing.stored_keys import KEYS_AT_ONCE
from release.canary.history import last_run
from release.journal.entries import Action, Entry, Note, NoteBook, Phase
from release.journal.history import CHANGES, rollback_target, served, staged

LOG = logging.getLogger(__name__)


def tidy(client: Client, app: str, journal: NoteBook, settings: PublishSettings) -> None:
    """Collect after a move, and note what went; a store that refuses is told in the log, and asked again next time."""
    try:
        done = collect_generations(client, app, journal.entries(), settings)
    except StoreError as error:
        LOG.warning("Old generations were not collected: %s", error)
        return
    if done.removed:
        gone = ", ".join(one.generation_id for one in done.removed)
        reason = f"Nothing refers to {gone} any more."
        journal.append(Note(Action.COLLECT, Phase.DONE, requester="slate", reason=reason, figures=done.to_json()))


def collect_generations(
    client: Client, app: str, entries: Sequence[Entry], settings: PublishSettings, *, all_unreferenced: bool = False
) -> GarbageCollection:
    """Remove the generations that the journal's entries give no reason to keep.

    entries: of the application, oldest first. all_unreferenced: also what is kept for its age alone (the grace, the
    last so many), so that only what is served, in Staging, a canary's or a rollback's stays.
    """
    keep = generations_to_keep(entries, 0 if all_unreferenced else settings.keep_generations)
    grace = timedelta(0) if all_unreferenced else timedelta(hours=settings.grace_hours)
    return collect_garbage(client, app, keep, grace, KEYS_AT_ONCE)


def generations_to_keep(entries: Sequence[Entry], n_last: int) -> dict[str, str]:
    """Generation ids, each with the best reason for it; n_last: so many of those last in production stay."""
    reasons = [
        (served(entries), "in production"),
        (_rollback_target(entries), "a rollback would go to it"),
        (staged(entries), "in Staging"),
        *((entry, f"one of the last {n_last} in production") for entry in _last_moves(entries, n_last)),
    ]
    keep: dict[str, str] = {}
    for entry, why in reasons:
        if entry is not None and entry.generation_id is not None:
            keep.setdefault(entry.generation_id, why)
    canary = _canary(entries)
    if canary:
        keep.setdefault(canary, "the canary's")
    return keep


def _rollback_target(entries: Sequence[Entry]) -> Entry | None:
    try:
        return rollback_target(entries)
    except PromotionRefused:
        return None  # nothing was in production before


def _canary(entries: Sequence[Entry]) -> str | None:
    """The generation of the canary that the journal says is running; the store may have lost its own note of it."""
    run = last_run(entries)
    return run.canary.generation_id if run and run.is_running else None


def _last_moves(entries: Sequence[Entry], n_last: int) -> list[Entry]:
    """The last moves to so many different generations, the latest first."""
    latest: dict[str, Entry] = {}
    for entry in reversed(entries):
        if entry.action in CHANGES and entry.phase is Phase.DONE and entry.generation_id:
            latest.setdefault(entry.generation_id, entry)
    return list(latest.values())[:n_last]
