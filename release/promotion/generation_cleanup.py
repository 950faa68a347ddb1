"""Which generations stay in the online store: the journal says, and whatever a pointer names stays anyway."""

from __future__ import annotations

import logging
from datetime import timedelta

from contracts.errors import PromotionRefused, StoreError
from contracts.settings.publish import PublishSettings
from feature_store.online.connection import Client
from feature_store.publishing.garbage_collection import GarbageCollection, collect_garbage
from release.canary.canary_run import last_run
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView

LOG = logging.getLogger(__name__)


def remove_old_generations(client: Client, app: str, journal: Journal, settings: PublishSettings) -> None:
    """Collect after a move, and note what went; a store that refuses is told in the log, and asked again next time."""
    try:
        done = collect_generations(client, app, journal.view(), settings)
    except StoreError as error:
        LOG.warning("Old generations were not collected: %s", error)
        return
    if done.removed:
        gone = ", ".join(one.generation_id for one in done.removed)
        reason = f"Nothing refers to {gone} any more."
        journal.append(Note(Action.COLLECT, Phase.DONE, requester="slate", reason=reason, figures=done.to_json()))


def collect_generations(
    client: Client, app: str, view: JournalView, settings: PublishSettings, *, all_unreferenced: bool = False
) -> GarbageCollection:
    """Remove the generations that the application's journal gives no reason to keep.

    all_unreferenced: also what is kept for its age alone (the grace, the last so many), so that only what is served,
    in Staging, a canary's or a rollback's stays.
    """
    keep = generations_to_keep(view, 0 if all_unreferenced else settings.keep_generations)
    grace = timedelta(0) if all_unreferenced else timedelta(hours=settings.grace_hours)
    return collect_garbage(client, app, keep, grace)


def generations_to_keep(view: JournalView, n_last: int) -> dict[str, str]:
    """Generation ids, each with the best reason for it; n_last: so many of those last in production stay."""
    reasons = [
        (_generation_of(view.production), "in production"),
        (_generation_of(_rollback_target(view)), "a rollback would go to it"),
        (_generation_of(view.staging), "in Staging"),
        *((generation, f"one of the last {n_last} in production") for generation in view.generation_ids[:n_last]),
        (_canary_generation(view), "the canary's"),
    ]
    keep: dict[str, str] = {}
    for generation, why in reasons:
        if generation is not None:
            keep.setdefault(generation, why)
    return keep


def _generation_of(entry: Entry | None) -> str | None:
    return entry.generation_id if entry else None


def _rollback_target(view: JournalView) -> Entry | None:
    try:
        return view.rollback_target()
    except PromotionRefused:
        return None  # nothing was in production before


def _canary_generation(view: JournalView) -> str | None:
    """The generation of the canary that the journal says is running; the store may have lost its own note of it."""
    run = last_run(view)
    return run.canary.generation_id if run and run.is_running else None
