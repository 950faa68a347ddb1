"""Staging and the canary in the online store: changed with a note in the journal, and set again where the store lost
them. The journal is the truth of what was meant, as for the pointer (see `switch`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.errors import PointerMoved, SlateworkError
from feature_store.online.serving_targets import (
    Canary,
    Staged,
    end_canary,
    read_serving_targets,
    set_canary,
    set_staged,
)
from release.canary.history import CanaryRun, last_run, noted_as_ended
from release.journal.entries import Action, CanaryStep, Entry, Note, NoteBook, Phase
from release.journal.view import JournalView
from release.promotion.switch import Switch
from release.promotion.write_back import Remark, Write, plan_write

BY_SLATE = "slate"


@dataclass(frozen=True)
class Change:
    """A canary as it shall be. before: as it is; None when it starts. beside: the release it is compared with."""

    step: CanaryStep
    canary: Canary
    beside: str
    version: int | None
    before: Canary | None = None


def put_in_staging(switch: Switch, release: Staged | None) -> None:
    """Let servers answer by this release where Staging is asked for; its values are published first."""
    if release is not None:
        switch.publish(release.release_id, release.generation_id)
    set_staged(switch.client, switch.app, release)


def change_canary(switch: Switch, change: Change, epoch: int, *, requester: str, reason: str) -> Entry:
    """Start a canary beside the pointer of this epoch, or change it; returns the journal's last word on it.

    The candidate's values are published first. Raises PointerMoved when somebody else switched meanwhile, and whatever
    publishing raises; then nothing changed.
    """
    note = _note(change, Phase.INTENT, requester=requester, reason=reason)
    intent = switch.journal.append(note)
    try:
        switch.publish(change.canary.release_id, change.canary.generation_id)
        set_canary(switch.client, switch.app, change.canary, change.before, epoch)
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
    change = Change(CanaryStep.END, run.canary, run.beside, run.version)
    note = _note(change, Phase.INTENT, requester=requester, reason=reason, figures=figures)
    intent = switch.journal.append(note)
    _take_away(switch, run.canary.salt)
    switch.journal.append(note.ended(Phase.DONE, intent))
    plan_remark(switch.journal, run.version, "ended", reason, moment)


def restore(switch: Switch, moment: datetime) -> None:
    """Make the store hold what the journal says of Staging and of the canary; call it where nobody else decides.

    What a killed process left open is settled first; a canary that ended with a move of the pointer is noted.
    """
    _settle(switch)
    targets = read_serving_targets(switch.client, switch.app)
    view = switch.journal.view()  # read after the store: whoever ended a canary had noted the intent by then
    meant = _meant_in_staging(view)
    if targets.staged != meant:
        put_in_staging(switch, meant)
    run = last_run(view)
    if run and run.ended and not noted_as_ended(view):
        stop_canary(switch, run, moment, requester=BY_SLATE, reason=run.ended)
    elif run and run.is_running and targets.canary != run.canary and not view.open_intents(Action.CANARY):
        _set_again(switch, run, targets.canary)
    elif targets.canary and not (run and run.is_running):
        end_canary(switch.client, switch.app, targets.canary)


def plan_remark(journal: NoteBook, version: int | None, state: str, reason: str, moment: datetime) -> None:
    """Note what is to be written on the candidate's version; the next that speaks to the registry writes it."""
    known = journal.view().registry_state
    if version is None or known is None:
        return
    tags = {"slate.canary": state, "slate.canary.reason": reason, "slate.canary.ts": moment.isoformat("T", "seconds")}
    remark = Remark(tags, f"canary {state} at {moment:%Y-%m-%d %H:%M} UTC: {reason}")
    write = Write(known, known, {version: remark})
    plan_write(journal, write, requester=BY_SLATE, reason=f"canary of version {version} {state}")


def _meant_in_staging(view: JournalView) -> Staged | None:
    entry = view.staging
    return None if entry is None else Staged(str(entry.release_id), str(entry.generation_id))


def _set_again(switch: Switch, run: CanaryRun, found: Canary | None) -> None:
    pointer = switch.pointer()
    if pointer is None or pointer.release_id != run.beside:
        return  # somebody moves it at this moment, which ends the canary: the next round sees it in the journal
    change = Change(CanaryStep.RESTORE, run.canary, run.beside, run.version, found)
    reason = "The online store did not hold the canary as the journal has it."
    try:
        change_canary(switch, change, pointer.epoch, requester=BY_SLATE, reason=reason)
    except PointerMoved:
        return  # as above; the journal has it as failed


def _settle(switch: Switch) -> None:
    """End the open intents about canaries: an end is carried out, for the rest the store shows whether it was."""
    for intent in switch.journal.view().open_intents(Action.CANARY):
        wanted = _canary(intent)
        if intent.figures["step"] == CanaryStep.END:
            _take_away(switch, wanted.salt)
        elif read_serving_targets(switch.client, switch.app).canary != wanted:
            reason = "Interrupted before the canary was changed."
            switch.journal.append(intent.note.ended(Phase.FAILED, intent, reason=reason))
            continue
        switch.journal.append(intent.note.ended(Phase.DONE, intent))


def _take_away(switch: Switch, salt: str) -> None:
    """Remove the canary of this salt, whatever its share is by now."""
    while (found := read_serving_targets(switch.client, switch.app).canary) and found.salt == salt:
        end_canary(switch.client, switch.app, found)


def _note(
    change: Change, phase: Phase, *, requester: str, reason: str, figures: Mapping[str, Any] | None = None
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


def _canary(entry: Entry) -> Canary:
    figures = entry.figures
    return Canary(
        str(entry.release_id), str(entry.generation_id), figures["share"], figures["salt"], figures["started_ts"]
    )
