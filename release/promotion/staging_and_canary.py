"""Staging and the canary in the online store: changed with a note in the journal, and set again where the store lost
them. The journal is the truth of what was meant, as for the pointer (see `switch`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.errors import PointerMoved, PublishIncomplete, SlateworkError
from feature_store.online.serving_targets import (
    Canary,
    Staged,
    end_canary,
    read_serving_targets,
    set_canary,
    set_staged,
)
from release.canary.canary_run import CanaryRun, last_run, noted_as_ended
from release.journal.entries import Action, CanaryStep, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView
from release.promotion.requesters import BY_SLATE
from release.promotion.switch import Switch
from release.promotion.write_back import RegistryWrite, VersionComment, plan_write


@dataclass(frozen=True)
class CanaryChange:
    """A canary as it shall be. before: as it is; None when it starts. beside: the release it is compared with."""

    step: CanaryStep
    canary: Canary
    beside: str
    version: int | None
    before: Canary | None = None


def put_in_staging(switch: Switch, staged: Staged | None, *, published: bool = False) -> None:
    """Let servers answer by this release, or by none, where Staging is asked for; its values are published first.

    published: a moment ago they were, so only where the store says that they are not there.
    """
    if staged is None:
        set_staged(switch.client, switch.app, None)
        return
    _set_with_values(switch, staged, lambda: set_staged(switch.client, switch.app, staged), published=published)


def change_canary(
    switch: Switch, change: CanaryChange, epoch: int, *, requester: str, reason: str, published: bool = False
) -> Entry:
    """Start a canary beside the pointer of this epoch, or change it; returns the journal's last word on it.

    The canary's values are published first; published: as of `put_in_staging`. Raises PointerMoved when somebody else
    switched meanwhile, and whatever publishing raises; then nothing changed.
    """
    note = _note(change, Phase.INTENT, requester=requester, reason=reason)
    intent = switch.journal.append(note)
    canary = change.canary
    try:
        _set_with_values(
            switch,
            canary,
            lambda: set_canary(switch.client, switch.app, canary, change.before, epoch),
            published=published,
        )
    except SlateworkError as error:
        switch.journal.append(note.ended(Phase.FAILED, intent, reason=error.problem))
        raise
    return switch.journal.append(note.ended(Phase.DONE, intent, epoch=epoch))


def stop_canary(
    switch: Switch,
    run: CanaryRun,
    moment: datetime,
    *,
    requester: str,
    reason: str,
    figures: Mapping[str, Any] | None = None,
) -> None:
    """Give everybody the release in production; the registry is told when it can be.

    figures: what it was decided on.
    """
    change = CanaryChange(CanaryStep.END, run.canary, run.beside, run.version)
    note = _note(change, Phase.INTENT, requester=requester, reason=reason, figures=figures)
    intent = switch.journal.append(note)
    _remove_canary(switch, run.canary.salt)
    switch.journal.append(note.ended(Phase.DONE, intent))
    plan_canary_comment(switch.journal, run.version, "ended", reason, moment)


def restore_staging_and_canary(switch: Switch, moment: datetime) -> None:
    """Make the store hold what the journal says of Staging and of the canary; call it where nobody else decides.

    What a killed process left open is settled first; a canary that ended with a move of the pointer is noted.
    """
    _close_open_intents(switch)
    targets = read_serving_targets(switch.client, switch.app)
    view = switch.journal.view()  # read after the store: whoever ended a canary had noted the intent by then
    meant = _staged_by_journal(view)
    if targets.staged != meant:
        put_in_staging(switch, meant)
    run = last_run(view)
    if run and run.ended and not noted_as_ended(view):
        stop_canary(switch, run, moment, requester=BY_SLATE, reason=run.ended)
    elif run and run.is_running and targets.canary != run.canary and not view.open_intents(Action.CANARY):
        _restore_canary(switch, run, targets.canary)
    elif targets.canary and not (run and run.is_running):
        end_canary(switch.client, switch.app, targets.canary)


def plan_canary_comment(journal: Journal, version: int | None, state: str, reason: str, moment: datetime) -> None:
    """Note what is to be written on the canary's version; the next that speaks to the registry writes it."""
    known = journal.view().registry_state
    if version is None or known is None:
        return
    comment = VersionComment({"slate.canary": state}, f"canary {state} at {moment:%Y-%m-%d %H:%M} UTC: {reason}")
    write = RegistryWrite(known, known, {version: comment})
    plan_write(journal, write, requester=BY_SLATE, reason=f"canary of version {version} {state}")


def _set_with_values(
    switch: Switch, named: Staged | Canary, set_in_store: Callable[[], None], *, published: bool
) -> None:
    """Name a release in the store, which takes no name of a generation that is not wholly there."""
    if published:
        with suppress(PublishIncomplete):
            return set_in_store()
    switch.publish(named.release_id, named.generation_id)
    return set_in_store()


def _staged_by_journal(view: JournalView) -> Staged | None:
    entry = view.staging
    return None if entry is None else Staged(str(entry.release_id), str(entry.generation_id))


def _restore_canary(switch: Switch, run: CanaryRun, stored: Canary | None) -> None:
    pointer = switch.pointer()
    if pointer is None or pointer.release_id != run.beside:
        return  # somebody moves it at this moment, which ends the canary: the next round sees it in the journal
    change = CanaryChange(CanaryStep.RESTORE, run.canary, run.beside, run.version, stored)
    reason = "The online store did not hold the canary as the journal has it."
    try:
        change_canary(switch, change, pointer.epoch, requester=BY_SLATE, reason=reason)
    except PointerMoved:
        return  # as above; the journal has it as failed


def _close_open_intents(switch: Switch) -> None:
    """End the open intents about canaries: an end is carried out, for the rest the store shows whether it was."""
    for intent in switch.journal.view().open_intents(Action.CANARY):
        meant = _canary_of(intent)
        if intent.figures["step"] == CanaryStep.END:
            _remove_canary(switch, meant.salt)
        elif read_serving_targets(switch.client, switch.app).canary != meant:
            reason = "Interrupted before the canary was changed."
            switch.journal.append(intent.note.ended(Phase.FAILED, intent, reason=reason))
            continue
        switch.journal.append(intent.note.ended(Phase.DONE, intent))


def _remove_canary(switch: Switch, salt: str) -> None:
    """Remove the canary of this salt, whatever its share is by now."""
    while (canary := read_serving_targets(switch.client, switch.app).canary) and canary.salt == salt:
        end_canary(switch.client, switch.app, canary)


def _note(
    change: CanaryChange, phase: Phase, *, requester: str, reason: str, figures: Mapping[str, Any] | None = None
) -> Note:
    canary = change.canary
    own = {
        "step": str(change.step),
        "share": canary.share,
        "salt": canary.salt,
        "started_ts": canary.started_ts,
        "beside": change.beside,
    }
    return Note(
        Action.CANARY,
        phase,
        canary.release_id,
        canary.generation_id,
        change.version,
        requester=requester,
        reason=reason,
        figures={**own, **({"report": dict(figures)} if figures else {})},
    )


def _canary_of(entry: Entry) -> Canary:
    figures = entry.figures
    return Canary(
        str(entry.release_id), str(entry.generation_id), figures["share"], figures["salt"], figures["started_ts"]
    )
