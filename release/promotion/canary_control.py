"""The canary: a share of people, by a stable hash, gets a release candidate instead of the release in production.

Started as carefully as Staging, changed and ended without a deploy: servers read it beside the pointer. What became of
it is in the event log (`release.canary.report`); `slate sync` ends one that crosses a guardrail
(`release.canary.guard`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from contracts.clock import Clock, WallClock
from contracts.errors import PointerMoved, PromotionRefused
from contracts.fingerprint import fingerprint_json
from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary
from release.canary.canary_run import CanaryRun, last_run
from release.canary.sums import MOST_PERIODS
from release.gates.gate import failure_sentences
from release.journal.entries import CanaryStep
from release.journal.journal import Journal
from release.promotion.decision import (
    DECISION_TAG,
    IN_PRODUCTION_ALREADY,
    NOT_REGISTERED,
    REASON_TAG,
    REFUSED,
    Decision,
)
from release.promotion.execution import note_refusal
from release.promotion.promotion_lock import promotion_lock
from release.promotion.staging_and_canary import (
    CanaryChange,
    change_canary,
    plan_canary_comment,
    restore_staging_and_canary,
    stop_canary,
)
from release.promotion.switch import Switch, open_switch
from release.promotion.write_back import finish_writes
from release.registry.registry import Version
from release.registry.state import Stage

if TYPE_CHECKING:
    from release.promotion.promotion import EvaluatedVersion, Promoter

NO_CANARY = PromotionRefused("No canary runs.", "Start one: `slate canary start VERSION --share 0.05`.")


@dataclass(frozen=True)
class CanaryControl:
    """Changes and ends the canary of one application; the registry is not needed for either.

    Raises StoreUnavailable when the store is away, PromotionRefused where it cannot be.
    """

    settings: Settings
    home: Home
    journal: Journal
    clock: Clock

    @classmethod
    def open(cls, settings: Settings, home: Home, clock: Clock | None = None) -> CanaryControl:
        """The control of the application that the settings name."""
        clock = clock or WallClock()
        return cls(settings, home, Journal(home, settings.app, clock), clock)

    def run(self) -> CanaryRun | None:
        """The canary that runs, else the last one; None when there was none."""
        return last_run(self.journal.view())

    def change_share(self, share: float, *, requester: str, reason: str = "") -> CanaryRun:
        """Give the running canary another share of people: who is in the smaller share is in the larger, too."""
        _check_share(share)
        with promotion_lock(self.home), self._switch() as switch:
            restore_staging_and_canary(switch, self.clock.now())
            run = self._running()
            if len(run.periods) >= MOST_PERIODS:
                raise PromotionRefused(
                    f"The share was changed {len(run.periods) - 1} times: as often as a report can tell apart.",
                    "End the canary and start it again: `slate canary stop`, `slate canary start`.",
                )
            changed = replace(run.canary, share=share)
            change = CanaryChange(CanaryStep.SHARE, changed, run.beside, run.version, run.canary)
            change_canary(switch, change, _pointer(switch).epoch, requester=requester, reason=reason)
            return self._running()

    def stop(self, *, requester: str, reason: str = "") -> CanaryRun:
        """Give everybody the release in production again, at once: nobody else's lock is waited for."""
        with self._switch() as switch:
            why = reason or f"Stopped by {requester}."
            stop_canary(switch, self._running(), self.clock.now(), requester=requester, reason=why)
        ended = self.run()
        if ended is None:
            raise NO_CANARY
        return ended

    def _running(self) -> CanaryRun:
        run = self.run()
        if run is None or not run.is_running:
            raise NO_CANARY
        return run

    @contextmanager
    def _switch(self) -> Iterator[Switch]:
        with open_switch(self.home, self.settings, self.journal) as switch:
            yield switch


def start_canary(promoter: Promoter, number: int, share: float, *, requester: str, reason: str = "") -> CanaryRun:
    """Give a share of people the release of this version, once it passes the gates of Staging.

    Raises PromotionRefused with the reasons when it does not, when its release is in production or nothing is, and
    when a canary runs already.
    """
    _check_share(share)
    with promoter.evaluating(number, Stage.STAGING, requester) as evaluated:
        running = last_run(promoter.journal.view())
        if running and running.is_running:
            raise PromotionRefused(
                f"Release {running.canary.release_id} is the canary already, at a share of {running.canary.share:g}.",
                "Change its share, `slate canary share SHARE`, or end it first: `slate canary stop`.",
            )
        pointer = _check_candidate(evaluated, requester)
        change = _new_canary(evaluated.version, pointer, share, promoter.clock.now())
        why = reason or f"Asked for by {requester}."
        change_canary(evaluated.switch, change, pointer.epoch, requester=requester, reason=why, published=True)
        comment = f"share {share:g} at first. {why}"
        plan_canary_comment(promoter.journal, number, "running", comment, promoter.clock.now())
        finish_writes(promoter.journal, promoter.registry)
    run = last_run(promoter.journal.view())
    if run is None:
        raise NO_CANARY
    return run


def refused_before(version: Version) -> str:
    """A warning where the last decision on this version was a refusal; empty else.

    A canary asks the gates of Staging alone, so that people can tell what those of Production doubt: that is a choice.
    """
    if version.tags.get(DECISION_TAG) != REFUSED:
        return ""
    return (
        f"warning: version {version.number} was refused, and people get it now. {version.tags.get(REASON_TAG, '')}\n"
        "  A canary asks the gates of Staging alone. End it: `slate canary stop`."
    )


def _check_candidate(evaluated: EvaluatedVersion, requester: str) -> Pointer:
    """The pointer it will run beside; raises PromotionRefused, which the journal then has, when it may not."""
    pointer, version = evaluated.switch.pointer(), evaluated.version
    reason = _reason_to_refuse(evaluated, pointer)
    if pointer is not None and not reason:
        return pointer
    decision = Decision(
        version.number,
        Stage.STAGING,
        False,
        f"Refused as a canary: {reason}",
        version.release_id,
        version.generation_id,
        requester,
        evaluated.gates,
    )
    note_refusal(evaluated.switch, decision)
    raise PromotionRefused(
        f"Version {version.number} was refused as a canary: {reason}",
        "Nothing changed. The figures are in `slate journal --json`.",
    )


def _reason_to_refuse(evaluated: EvaluatedVersion, pointer: Pointer | None) -> str:
    """Empty where there is none."""
    if not evaluated.version.release_id:
        return NOT_REGISTERED
    if pointer is None:
        return "Nothing is in production that it could be compared with."
    if pointer.release_id == evaluated.version.release_id:
        return IN_PRODUCTION_ALREADY
    return failure_sentences(evaluated.gates)


def _new_canary(version: Version, pointer: Pointer, share: float, started: datetime) -> CanaryChange:
    salt = fingerprint_json([version.release_id, started.isoformat()])
    canary = Canary(version.release_id, version.generation_id, share, salt, int(started.timestamp()))
    return CanaryChange(CanaryStep.START, canary, pointer.release_id, version.number)


def _pointer(switch: Switch) -> Pointer:
    pointer = switch.pointer()
    if pointer is None:
        raise PointerMoved("The pointer is gone.", "`slate sync` writes it again from the journal; then ask again.")
    return pointer


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise PromotionRefused(
            f"A share of {share:g} leaves one arm empty; expected more than 0 and less than 1.",
            "For nobody, `slate canary stop`; for everybody, `slate promote VERSION`.",
        )
