"""Promotion: a change of stage or alias in the registry is a request; gates decide; production follows, or the
registry is put back to what is true.

    settle what a killed process left -> rebuild a lost pointer, Staging and canary -> write lost values again
    -> guard the canary
    -> finish pending writes to the registry -> read requests -> decide and switch -> write back

A request is a change against the registry as we last saw or wrote it, never a difference from what is served:
otherwise a rollback made while the registry was away would be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contracts.clock import Clock, WallClock
from contracts.errors import PromotionRefused
from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.pointer import Pointer
from release.canary.canary_run import last_run
from release.canary.guard import CanaryGuard
from release.gates.acceptance import check_acceptable
from release.gates.gate import Gate
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.promotion.decider import Decider
from release.promotion.decision import Decision, copy_comment
from release.promotion.execution import carry_out, empty_staging, note_refusal
from release.promotion.generation_cleanup import remove_old_generations
from release.promotion.promotion_lock import promotion_lock
from release.promotion.registry_snapshot import RegistrySnapshot
from release.promotion.republishing import republish_missing
from release.promotion.requesters import BY_GUARD, BY_SLATE, BY_TRAINING, reason_not_allowed, take_tokens
from release.promotion.staging_and_canary import put_in_staging, restore_staging_and_canary, stop_canary
from release.promotion.switch import Switch, open_switch
from release.promotion.write_back import RegistryWrite, check_resolution, finish_writes, plan_write
from release.registry.registration import register_again
from release.registry.registry import RELEASE_COMMIT_TAG, Registry, Version
from release.registry.requests import PromotionRequest, RefusedChange, RegistryRequests
from release.registry.state import Stage, decided_state

AFTER_TRAINING = {"staging": Stage.STAGING, "production": Stage.PRODUCTION}


@dataclass(frozen=True)
class SyncReport:
    """What one sync did. rebuilt: the pointer, where it had to be set anew from the journal; canary_ended: why the
    guard ended the canary, empty where it did not; mended: what served generations lacked in the online store."""

    decisions: tuple[Decision, ...]
    rebuilt: Pointer | None
    canary_ended: str = ""
    mended: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.accepted)

    def to_json(self) -> dict[str, Any]:
        return {
            "decisions": [decision.to_json() for decision in self.decisions],
            "rebuilt": self.rebuilt and self.rebuilt.__dict__,
            "canary_ended": self.canary_ended,
            "mended": list(self.mended),
        }


@dataclass(frozen=True)
class EvaluatedVersion:
    """A version and what the gates say of it, with the switch of whoever holds the promotion lock."""

    switch: Switch
    version: Version
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Promoter:
    """Decides what one application serves.

        Promoter.open(settings, home).promote(7, requester="cli:ada").reason

    Its calls raise RegistryUnavailable or StoreUnavailable when one of the two is away: nothing is lost, the next sync
    goes on. They raise Busy when another process keeps deciding.
    """

    settings: Settings
    home: Home
    registry: Registry
    journal: Journal
    clock: Clock
    guard: CanaryGuard

    @classmethod
    def open(cls, settings: Settings, home: Home, clock: Clock | None = None) -> Promoter:
        """The promoter of the application that the settings name."""
        clock = clock or WallClock()
        guard = CanaryGuard(settings.app, settings.promotion.canary)
        return cls(settings, home, Registry(home, settings.app), Journal(home, settings.app, clock), clock, guard)

    def sync(self) -> SyncReport:
        """Carry out or refuse everything that was asked for in the registry since the last time."""
        with self._switch() as switch:
            return self._sync(switch)

    def promote(
        self,
        number: int,
        stage: Stage = Stage.PRODUCTION,
        *,
        requester: str,
        allow_dirty: bool = False,
        accepted: Mapping[str, str] | None = None,
    ) -> Decision:
        """Decide at once on one version, after everything that was asked for before.

        allow_dirty: also when built from uncommitted source; accepted: by gate, why it may pass where it fails.
        Of a copy of a version, that version is meant. Raises RegistryError when there is no such version, and
        PromotionRefused where no gate of that name can be accepted.
        """
        check_acceptable(accepted or {})
        with self._switch() as switch:
            self._sync(switch)
            pointer, snapshot = switch.pointer(), self._snapshot()
            self.registry.check_there(number, snapshot.versions)
            request = PromotionRequest(stage, snapshot.original(number), requester, allow_dirty, accepted or {})
            *_, decision = self._decide_all(switch, pointer, snapshot, RegistryRequests((request,)))
        return decision

    @contextmanager
    def evaluating(self, number: int, stage: Stage, requester: str) -> Iterator[EvaluatedVersion]:
        """Hold the promotion lock, with one version and its gates for a stage, after what was asked for before.

        A version that has no release has no gates. Raises PromotionRefused when the requester may not promote,
        RegistryError when there is no such version.
        """
        not_allowed = reason_not_allowed(requester, self.settings.promotion.allowed_requesters)
        if not_allowed:
            raise PromotionRefused(not_allowed, "Ask somebody who is on the list, or with a token: set SLATE_TOKEN.")
        with self._switch() as switch:
            self._sync(switch)
            snapshot = self._snapshot()
            self.registry.check_there(number, snapshot.versions)
            version = snapshot.versions[snapshot.original(number)]
            request = PromotionRequest(stage, version.number, requester)
            gates = self._decider(switch, switch.pointer()).gates(version, request) if version.release_id else ()
            yield EvaluatedVersion(switch, version, gates)

    def after_training(self, number: int) -> Decision | None:
        """Do with a freshly trained version what `promotion.after_training` says.

        Returns None where it says `none`, and where the version stands in a stage: a run that made the same release
        again asks for nothing.
        """
        wanted = AFTER_TRAINING.get(self.settings.promotion.after_training)
        if wanted is None or self.registry.version(number).stage is not Stage.NONE:
            return None
        return self.promote(number, wanted, requester=BY_TRAINING)

    def record_commit(self, release_id: str, commit: str) -> None:
        """Write the commit that gives a release back on its version and into the journal."""
        version = self.registry.by_release(release_id)
        if version is not None:
            self.registry.annotate(version, {RELEASE_COMMIT_TAG: commit}, version.description)
        number = version.number if version else None
        self.journal.append(
            Note(Action.RECORD, Phase.DONE, release_id, None, number, requester=BY_SLATE, figures={"commit": commit})
        )

    def _sync(self, switch: Switch) -> SyncReport:
        switch.close_open_intents()
        rebuilt = switch.rebuild()
        restore_staging_and_canary(switch, self.clock.now())
        mended = republish_missing(switch)
        canary_ended = self._guard_canary(switch)  # before the registry is needed: it may be away
        self.journal.keep_checkpoint()  # as above
        finish_writes(self.journal, self.registry)
        pointer, snapshot = switch.pointer(), self._snapshot()
        requests = snapshot.requests(self.journal.view().production)
        decisions = self._decide_all(switch, pointer, snapshot, requests)
        return SyncReport(tuple(decisions), rebuilt, canary_ended, mended)

    def _guard_canary(self, switch: Switch) -> str:
        moment = self.clock.now()
        run = last_run(self.journal.view())
        if run is None or not run.is_running:
            return ""
        report = self.guard.look(switch.client, run, moment)
        if report is None or report.breach is None:
            return ""
        reason = report.breach.sentence
        stop_canary(switch, run, moment, requester=BY_GUARD, reason=reason, figures=report.to_json())
        return reason

    def _snapshot(self) -> RegistrySnapshot:
        """The registry as it is now; whoever showed a token is noted."""
        versions = self.registry.versions()
        take_tokens(self.journal, self.registry, versions, self.settings.promotion.allowed_requesters)
        return RegistrySnapshot.of(versions, self.journal.view())

    def _decide_all(
        self, switch: Switch, pointer: Pointer | None, snapshot: RegistrySnapshot, asked: RegistryRequests
    ) -> list[Decision]:
        """Decide on everything, requests after plain refusals, and write back what is then true.

        pointer: read before the registry was. Where it moved since, what this round would move stays where it is.
        """
        if asked.left_staging:
            empty_staging(switch)
        decisions = [note_refusal(switch, _refusal(snapshot, change)) for change in asked.refusals]
        decider = self._decider(switch, pointer)
        decisions += [
            carry_out(switch, decider.decide(snapshot.versions[request.version], request)) for request in asked.requests
        ]
        accepted = {decision.stage: decision.version for decision in decisions if decision.accepted}
        staging = accepted.get(Stage.STAGING, None if asked.left_staging else snapshot.staging)
        if staging is not None and staging == accepted.get(Stage.PRODUCTION):
            put_in_staging(switch, None)  # it went on to Production, which the journal has as the end of its Staging
        self._write_back(snapshot, staging, decisions)
        if Stage.PRODUCTION in accepted:
            remove_old_generations(switch.client, self.settings.app, self.journal, self.settings.publish)
        return decisions

    def _write_back(self, snapshot: RegistrySnapshot, staging: int | None, decisions: Sequence[Decision]) -> None:
        """staging: the version that is in Staging now."""
        snapshot, production = self._served_version(snapshot)
        after = decided_state(snapshot.before, snapshot.now, production, None if staging == production else staging)
        moment = self.clock.now()
        comments = {decision.version: decision.comment(moment) for decision in decisions}
        comments |= {copy: copy_comment(original) for copy, original in snapshot.copies_to_explain().items()}
        write = RegistryWrite(snapshot.now, after, comments)
        reason = "; ".join(f"version {decision.version} {decision.verdict}" for decision in decisions)
        plan_write(self.journal, write, requester=BY_SLATE, reason=reason)
        finish_writes(self.journal, self.registry)
        if write:
            check_resolution(self.registry, production)

    def _served_version(self, snapshot: RegistrySnapshot) -> tuple[RegistrySnapshot, int | None]:
        """The version whose release is served; where somebody deleted it, it is registered again."""
        entry = self.journal.view().production
        number = snapshot.version_of(entry)
        if entry is None or number is not None:
            return snapshot, number
        version = register_again(self.registry, str(entry.release_id))
        return (snapshot, None) if version is None else (snapshot.with_new_version(version.number), version.number)

    def _decider(self, switch: Switch, pointer: Pointer | None) -> Decider:
        return Decider(self.settings, self.home, self.registry, switch, self.clock, pointer)

    @contextmanager
    def _switch(self) -> Iterator[Switch]:
        with promotion_lock(self.home), open_switch(self.home, self.settings, self.journal) as switch:
            yield switch


def _refusal(snapshot: RegistrySnapshot, change: RefusedChange) -> Decision:
    version = snapshot.versions.get(change.version)
    release_id, generation_id = (version.release_id, version.generation_id) if version else ("", "")
    return Decision(change.version, change.stage, False, change.reason, release_id, generation_id, BY_SLATE)
