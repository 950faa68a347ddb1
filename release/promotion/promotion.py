"""Promotion: a change of stage or alias in the registry is a request; gates decide; production follows, or the
registry is put back to what is true.

    settle what a killed process left -> rebuild a lost pointer, Staging and canary -> guard the canary
    -> finish pending writes to the registry -> read requests -> decide and switch -> write back

A request is a change against the registry as we last saw or wrote it, never a difference from what is served:
otherwise a rollback made while the registry was away would be undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, PointerMoved, PromotionRefused
from contracts.features import FeatureReader
from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Staged
from feature_store.readers.online_reader import RedisFeatureReader
from release.bundle.bundle import Release
from release.bundle.open_bundle import OpenBundle
from release.bundle.publication import publish_release
from release.canary.guard import CanaryGuard
from release.canary.history import last_run
from release.gates.candidate import Candidate
from release.gates.gate import Gate
from release.gates.gates import evaluate_gates
from release.journal.journal import Action, Entry, Journal, Note, Phase
from release.promotion.collecting import tidy
from release.promotion.decision import Decision
from release.promotion.requesters import BY_TRAINING, of_registry, take_tokens, why_not
from release.promotion.side_traffic import put_in_staging, restore, stop_canary
from release.promotion.switch import Switch, open_switch
from release.promotion.turns import turn
from release.promotion.write_back import Write, check_resolution, finish_writes, plan_write
from release.registry.kept_bundle import kept_bundle
from release.registry.registration import register_again
from release.registry.registry import Registry, Version, state_of
from release.registry.requests import BY_REGISTRY, PromotionRequest, RefusedChange, RegistryRequests, read_requests
from release.registry.state import RegistryState, Stage, decided_state

AFTER_TRAINING = {"staging": Stage.STAGING, "production": Stage.PRODUCTION}
BY_SLATE = "slate"
BY_GUARD = "guard"


@dataclass(frozen=True)
class SyncReport:
    """What one sync did. rebuilt: the pointer, where it had to be set anew from the journal; canary_ended: why the
    guard ended the canary, empty where it did not."""

    decisions: tuple[Decision, ...]
    rebuilt: Pointer | None
    canary_ended: str = ""

    @property
    def refused(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.accepted)

    def to_json(self) -> dict[str, Any]:
        return {
            "decisions": [decision.to_json() for decision in self.decisions],
            "rebuilt": self.rebuilt and self.rebuilt.__dict__,
            "canary_ended": self.canary_ended,
        }


@dataclass(frozen=True)
class Vetted:
    """A version and what the gates say of it, with the switch of whoever holds the turn."""

    switch: Switch
    version: Version
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Promoter:
    """Decides what one application serves.

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
        accepted: str = "",
    ) -> Decision:
        """Decide at once on one version, after everything that was asked for before.

        allow_dirty: also when built from uncommitted source; accepted: why it may go without a comparison, or
        on data that moved.
        Raises RegistryError when there is no such version.
        """
        with self._switch() as switch:
            self._sync(switch)
            self.registry.version(number)
            request = PromotionRequest(stage, number, requester, allow_dirty, accepted)
            *_, decision = _Round(self, switch).decide(RegistryRequests((request,)))
        return decision

    @contextmanager
    def vetting(self, number: int, stage: Stage, requester: str) -> Iterator[Vetted]:
        """Hold the turn, after everything that was asked for before, with one version and its gates for a stage.

        Raises PromotionRefused when the requester may not promote, RegistryError when there is no such version.
        """
        forbidden = why_not(requester, self.settings.promotion.allowed_requesters)
        if forbidden:
            raise PromotionRefused(forbidden, "Ask somebody who is on the list, or with a token: set SLATE_TOKEN.")
        with self._switch() as switch:
            self._sync(switch)
            version = self.registry.version(number)
            yield _Round(self, switch).vet(version, PromotionRequest(stage, number, requester))

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
            self.registry.annotate(version.number, {"slate.release_commit": commit}, version.description)
        number = version.number if version else None
        self.journal.append(
            Note(Action.RECORD, Phase.DONE, release_id, None, number, requester=BY_SLATE, figures={"commit": commit})
        )

    def _sync(self, switch: Switch) -> SyncReport:
        switch.settle()
        rebuilt = switch.rebuild()
        restore(switch, self.clock.now())
        canary_ended = self._guard_canary(switch)  # before the registry is needed: it may be away
        finish_writes(self.journal, self.registry)
        this_round = _Round(self, switch)
        return SyncReport(tuple(this_round.decide(this_round.read())), rebuilt, canary_ended)

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

    @contextmanager
    def _switch(self) -> Iterator[Switch]:
        batch_size = self.settings.publish.batch_size
        with turn(self.home), open_switch(self.home, self.settings.app, self.journal, batch_size) as switch:
            yield switch


class _Round:
    """One look at the registry, the decisions that follow, and one write back."""

    def __init__(self, promoter: Promoter, switch: Switch) -> None:
        self._promoter = promoter
        self._switch = switch
        self._journal = promoter.journal
        self._registry = promoter.registry
        self._allowed = promoter.settings.promotion.allowed_requesters
        versions = self._registry.versions()
        take_tokens(self._journal, self._registry, versions, self._allowed)
        self._versions = {version.number: version for version in versions}
        self._now = state_of(versions)
        self._before = self._baseline()
        self._staging = self._before.in_stage(Stage.STAGING)

    def read(self) -> RegistryRequests:
        """What was asked for since the last round."""
        entry = self._served()
        deleted = entry.version if entry else None
        return read_requests(self._before, self._now, self._production() or deleted, self._staging)

    def decide(self, asked: RegistryRequests) -> list[Decision]:
        """Decide on everything, requests after plain refusals, and write back what is then true."""
        if asked.left_staging:
            self._staging = None
            put_in_staging(self._switch, None)
            self._journal.append(Note(Action.STAGE, Phase.DONE, requester=BY_SLATE, reason="Taken out of Staging."))
        decisions = [self._refuse(_refusal(self._versions, refusal)) for refusal in asked.refusals]
        decisions += [self._decide(request) for request in asked.requests]
        self._write_back(decisions)
        if any(decision.accepted and decision.stage is Stage.PRODUCTION for decision in decisions):
            settings = self._promoter.settings
            tidy(self._switch.client, settings.app, self._journal, settings.publish)
        return decisions

    def vet(self, version: Version, request: PromotionRequest) -> Vetted:
        """What the gates say of a version that asks for this stage; nothing of one that has no release."""
        return Vetted(self._switch, version, self._gates(version, request) if version.release_id else ())

    def _baseline(self) -> RegistryState:
        """The registry as we last knew it; on first contact, everything in it is new."""
        view = self._journal.view()
        known = view.registry_state
        if known is not None:
            return known
        return self._now if view.production else RegistryState()

    def _served(self) -> Entry | None:
        return self._journal.view().production

    def _production(self) -> int | None:
        """The version whose release is served; None when nothing is, or when its version was deleted."""
        entry = self._served()
        if entry is None:
            return None
        holding = [number for number, version in self._versions.items() if version.release_id == entry.release_id]
        return entry.version if entry.version in holding else max(holding, default=None)

    def _decide(self, request: PromotionRequest) -> Decision:
        version = self._versions[request.version]
        requester = self._requester(request)
        decision = Decision(
            version.number, request.stage, False, "", version.release_id, version.generation_id, requester
        )
        forbidden = why_not(requester, self._allowed)
        if forbidden:
            return self._refuse(replace(decision, reason=forbidden))
        if not version.release_id:
            reason = "It was not made by `slate register`, so there is no release behind it."
            return self._refuse(replace(decision, reason=reason))
        if self._is_served(version):
            asked_in_vain = replace(decision, reason="Its release is in production already.")
            if request.stage is Stage.PRODUCTION:
                return replace(asked_in_vain, accepted=True)
            return self._refuse(asked_in_vain)
        gates = self._gates(version, request)
        reason = " ".join(gate.sentence for gate in gates if not gate.passed)
        if reason:
            return self._refuse(replace(decision, reason=reason, gates=gates))
        return self._accept(replace(decision, accepted=True, reason="Every gate was passed.", gates=gates))

    def _requester(self, request: PromotionRequest) -> str:
        if request.requester != BY_REGISTRY:
            return request.requester
        return of_registry(self._journal.view(), request.version, self._promoter.clock.now())

    def _is_served(self, version: Version) -> bool:
        entry = self._served()
        return entry is not None and entry.release_id == version.release_id

    def _gates(self, version: Version, request: PromotionRequest) -> tuple[Gate, ...]:
        try:
            bundle = OpenBundle(kept_bundle(self._registry, version))
            entry = self._served()
            champion = OpenBundle(self._switch.bundles.path(str(entry.release_id))) if entry else None
        except ArtefactError as error:
            return (Gate("artefacts", passed=False, sentence=error.problem),)
        parity = self._promoter.home.parity / self._promoter.settings.app
        candidate = Candidate(
            version, bundle, request.stage, self._published, champion, request.allow_dirty, request.accepted, parity
        )
        return evaluate_gates(candidate, self._promoter.settings, clock=self._promoter.clock)

    def _published(self, release: Release) -> FeatureReader:
        """Reads the release's values, after they were published: nothing that is served changes by it."""
        app, client = self._promoter.settings.app, self._switch.client
        publish_release(client, app, release, self._switch.batch_size)
        return RedisFeatureReader(client, app, release.generation_id, release.schemas, release.catalogue.ids)

    def _accept(self, decision: Decision) -> Decision:
        if decision.stage is Stage.STAGING:
            put_in_staging(self._switch, Staged(decision.release_id, decision.generation_id))
            self._staging = decision.version
            self._journal.append(decision.note(Action.STAGE, Phase.DONE))
            return decision
        try:
            # Urgent: its values were published, and read back, for the gate of parity a moment ago.
            self._switch.move(decision.note(Action.PROMOTE, Phase.INTENT), urgent=True)
        except PointerMoved:
            reason = "The release was switched by somebody else while this was decided: ask again if still wanted."
            return self._refuse(replace(decision, accepted=False, reason=reason))
        return decision

    def _refuse(self, decision: Decision) -> Decision:
        self._journal.append(decision.note(Action.REFUSE, Phase.DONE))
        return decision

    def _write_back(self, decisions: list[Decision]) -> None:
        production = self._production() or self._restored()
        staging = None if self._staging == production else self._staging
        after = decided_state(self._before, self._now, production, staging)
        moment = self._promoter.clock.now()
        remarks = {decision.version: decision.remark(moment) for decision in decisions}
        reason = "; ".join(f"version {decision.version} {decision.verdict}" for decision in decisions)
        write = Write(self._now, after, remarks)
        plan_write(self._journal, write, requester=BY_SLATE, reason=reason)
        finish_writes(self._journal, self._registry)
        if write:
            check_resolution(self._registry, production)

    def _restored(self) -> int | None:
        """Register the release that is served again, where somebody deleted its version."""
        entry = self._served()
        version = register_again(self._registry, str(entry.release_id)) if entry else None
        if version is None:
            return None
        self._now = RegistryState({**self._now.stages, version.number: Stage.NONE}, self._now.aliases)
        return version.number


def _refusal(versions: dict[int, Version], refusal: RefusedChange) -> Decision:
    version = versions.get(refusal.version)
    release_id, generation_id = (version.release_id, version.generation_id) if version else ("", "")
    return Decision(refusal.version, refusal.stage, False, refusal.reason, release_id, generation_id, BY_SLATE)
