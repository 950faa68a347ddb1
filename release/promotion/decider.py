"""Decides on one request: who asks, what the gates say, and what follows from it. Nothing that is served changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.clock import Clock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader
from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.pointer import Pointer, epoch_of
from feature_store.readers.online_reader import RedisFeatureReader
from release.bundle.bundle import Release
from release.bundle.open_bundle import OpenBundle
from release.bundle.publication import publish_release
from release.gates.gate import Gate, failure_sentences, outcome, without_effect
from release.gates.gates import evaluate_gates
from release.gates.release_candidate import ReleaseCandidate
from release.promotion.decision import IN_PRODUCTION_ALREADY, NOT_REGISTERED, Decision
from release.promotion.requesters import reason_not_allowed, requester_in_registry
from release.promotion.switch import Switch
from release.registry.kept_bundle import kept_bundle
from release.registry.registry import Registry, Version
from release.registry.requests import BY_REGISTRY, PromotionRequest
from release.registry.state import Stage


@dataclass(frozen=True)
class Decider:
    """Decides what a version may do.

    switch: of whoever holds the promotion lock; a release's values are published through it.
    pointer: as it was before anything was looked at. A rollback waits for no lock: what is decided holds only as long
    as the pointer stays (`Decision.epoch`).
    """

    settings: Settings
    home: Home
    registry: Registry
    switch: Switch
    clock: Clock
    pointer: Pointer | None

    def decide(self, version: Version, request: PromotionRequest) -> Decision:
        """Whether the version may go where it is wanted, and why."""
        requester = self._requester(request)
        refused = Decision(
            version.number, request.stage, False, "", version.release_id, version.generation_id, requester
        )
        not_allowed = reason_not_allowed(requester, self.settings.promotion.allowed_requesters)
        if not_allowed:
            return replace(refused, reason=not_allowed)
        if not version.release_id:
            return replace(refused, reason=NOT_REGISTERED)
        if version.release_id == self._served_release():
            stands = request.stage is Stage.PRODUCTION
            reason = " ".join([IN_PRODUCTION_ALREADY, *without_effect(request.accepted, ())])
            return replace(refused, accepted=stands, reason=reason, changes_nothing=stands)
        gates = self.gates(version, request)
        failures = failure_sentences(gates)
        remarks = without_effect(request.accepted, gates)
        reason = " ".join([failures or outcome(gates), *remarks])
        epoch = epoch_of(self.pointer)
        return replace(refused, accepted=not failures, reason=reason, gates=gates, remarks=remarks, epoch=epoch)

    def gates(self, version: Version, request: PromotionRequest) -> tuple[Gate, ...]:
        """What every gate says; its bundle is brought from the registry where this machine does not keep it."""
        try:
            candidate = self._candidate(version, request)
        except ArtefactError as error:
            return (Gate("artefacts", passed=False, sentence=error.problem),)
        return evaluate_gates(candidate, self.settings, clock=self.clock)

    def _candidate(self, version: Version, request: PromotionRequest) -> ReleaseCandidate:
        champion = self._served_release()
        return ReleaseCandidate(
            version,
            OpenBundle(kept_bundle(self.registry, version)),
            request.stage,
            self._published,
            champion=OpenBundle(self.switch.bundles.path(champion)) if champion else None,
            allow_dirty=request.allow_dirty,
            accepted=request.accepted,
            parity=self.home.parity / self.settings.app,
        )

    def _published(self, release: Release) -> FeatureReader:
        """Reads the release's values, after they were published."""
        app, client = self.settings.app, self.switch.client
        publish_release(client, app, release, self.switch.batch_size)
        return RedisFeatureReader(client, app, release.generation_id, release.schemas, release.catalogue.ids)

    def _requester(self, request: PromotionRequest) -> str:
        if request.requester != BY_REGISTRY:
            return request.requester
        return requester_in_registry(self.switch.journal.view(), request.version, self.clock.now())

    def _served_release(self) -> str | None:
        """What the pointer names; the journal knows it where the store lost the pointer a moment ago."""
        if self.pointer is not None:
            return self.pointer.release_id
        entry = self.switch.journal.view().production
        return str(entry.release_id) if entry else None
