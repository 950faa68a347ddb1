"""Carries out what was decided, and notes it in the journal."""

from __future__ import annotations

from dataclasses import replace

from contracts.errors import PointerMoved
from feature_store.online.serving_targets import Staged
from release.journal.entries import Action, Note, Phase
from release.promotion.decision import Decision
from release.promotion.requesters import BY_SLATE
from release.promotion.staging_and_canary import put_in_staging
from release.promotion.switch import Switch
from release.registry.state import Stage


def carry_out(switch: Switch, decision: Decision) -> Decision:
    """Move the pointer or Staging as decided; returns it refused where somebody else switched meanwhile.

    The values were published, and read back, for the gate of parity a moment ago.
    """
    if not decision.accepted:
        return note_refusal(switch, decision)
    if decision.changes_nothing:
        return decision
    if decision.stage is Stage.STAGING:
        put_in_staging(switch, Staged(decision.release_id, decision.generation_id), published=True)
        switch.journal.append(decision.note(Action.STAGE, Phase.DONE))
        return decision
    try:
        switch.move(decision.note(Action.PROMOTE, Phase.INTENT), urgent=True, expected_epoch=decision.epoch)
    except PointerMoved:
        reason = "The release was switched by somebody else while this was decided: ask again if still wanted."
        return note_refusal(switch, replace(decision, accepted=False, reason=reason))
    return decision


def note_refusal(switch: Switch, decision: Decision) -> Decision:
    """Note a refusal; nothing else happens."""
    switch.journal.append(decision.note(Action.REFUSE, Phase.DONE))
    return decision


def empty_staging(switch: Switch) -> None:
    """Somebody took the version out of Staging."""
    put_in_staging(switch, None)
    switch.journal.append(Note(Action.STAGE, Phase.DONE, requester=BY_SLATE, reason="Taken out of Staging."))
