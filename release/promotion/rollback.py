"""Going back: the pointer first and at once, without the registry; the registry is told when it can be.

Nothing heavy is imported here, so that `slate rollback` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from contracts.errors import Busy, PointerMoved, PromotionRefused, RegistryError
from contracts.home import Home
from feature_store.online.pointer import Pointer
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.promotion.switch import Switch, SwitchSettings, open_switch
from release.promotion.write_back import RegistryWrite, finish_writes, plan_write
from release.registry.state import Stage, decided_state

REGISTRY_PATIENCE_S = 5.0  # whoever decides now will write our change too; no need to wait for them


@dataclass(frozen=True)
class RollbackResult:
    """What is served now. registry_pending: why the registry could not be told yet; empty when it was."""

    pointer: Pointer
    version: int | None
    left_release_id: str
    registry_pending: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "release_id": self.pointer.release_id,
            "generation_id": self.pointer.generation_id,
            "epoch": self.pointer.epoch,
            "version": self.version,
            "left_release_id": self.left_release_id,
            "registry_pending": self.registry_pending,
        }


def roll_back(
    settings: SwitchSettings,
    home: Home,
    journal: Journal,
    *,
    to: str | None = None,
    requester: str,
    reason: str = "",
    moved: Callable[[RollbackResult], None] = lambda _done: None,
) -> RollbackResult:
    """Serve the release that was in production before, or the one named, from now on.

    moved: called as soon as the pointer has moved, before the registry is told.
    Raises PromotionRefused when there is none, ArtefactError when its bundle is not kept here any more, StoreError
    when the pointer cannot be moved. A registry that is away stops nothing: it is written by the next sync.
    """
    with open_switch(home, settings, journal) as switch:
        switch.close_confirmed_intents()
        view = journal.view()
        left, target = view.production, view.rollback_target(to)
        left_release_id = str(left.release_id) if left else ""
        if target.release_id == left_release_id:
            raise PromotionRefused(
                f"Release {to} is in production already.", "Name another one; `slate journal` lists them."
            )
        switch.bundles.path(str(target.release_id))
        target = replace(target, generation_id=switch.kept_generation(target))
        pointer = _move(switch, _note(target, requester, reason or f"Back from release {left_release_id}."))
    done = RollbackResult(pointer, target.version, left_release_id)
    moved(done)
    _plan(journal, target, requester)
    journal.keep_checkpoint()
    return replace(done, registry_pending=_tell_registry(home, settings.app, journal))


def _note(target: Entry, requester: str, reason: str) -> Note:
    return Note(
        Action.ROLLBACK,
        Phase.INTENT,
        target.release_id,
        target.generation_id,
        target.version,
        requester=requester,
        reason=reason,
    )


def _move(switch: Switch, note: Note) -> Pointer:
    try:
        return switch.move(note, urgent=True)
    except PointerMoved:
        # A promotion landed in between; whoever rolls back has the last word.
        return switch.move(note, urgent=True)


def _plan(journal: Journal, target: Entry, requester: str) -> None:
    before = journal.view().registry_state
    if before is None:
        return
    after = decided_state(before, before, target.version, before.in_stage(Stage.STAGING))
    write, reason = RegistryWrite(before, after), f"Rolled back to {target.release_id}."
    plan_write(journal, write, requester=requester, reason=reason)


def _tell_registry(home: Home, app: str, journal: Journal) -> str:
    from release.promotion.promotion_lock import promotion_lock  # noqa: PLC0415 - the pointer moves before it
    from release.registry.registry import Registry  # noqa: PLC0415 - as above

    try:
        with promotion_lock(home, REGISTRY_PATIENCE_S):
            finish_writes(journal, Registry(home, app))
    except (RegistryError, Busy) as error:
        return error.problem
    return ""
