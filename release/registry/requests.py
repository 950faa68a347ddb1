"""What people asked for by changing stages and aliases in the registry, and what can be refused by looking alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from release.registry.state import ALIASES, RegistryState, Stage, versions_moved_into, was_taken_from

BY_REGISTRY = "mlflow"  # the local MLflow server does not say who changed something
TOKEN_TAG = "slate.token"  # noqa: S105 - where somebody puts a token, not a token


@dataclass(frozen=True)
class PromotionRequest:
    """Somebody wants a version in Production or Staging.

    allow_dirty: also when built from uncommitted source; accepted: by gate, why one that fails may pass.
    """

    stage: Stage
    version: int
    requester: str = BY_REGISTRY
    allow_dirty: bool = False
    accepted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RefusedChange:
    """A change that is undone without looking at the release."""

    stage: Stage
    version: int
    reason: str


@dataclass(frozen=True)
class RegistryRequests:
    """Everything that changed.

    left_staging: somebody took the version out of Staging, which is theirs to do. It did not leave where it, or another
    version in its place, was asked for: it goes where that is decided, and back where that is refused.
    """

    requests: tuple[PromotionRequest, ...] = ()
    refusals: tuple[RefusedChange, ...] = ()
    left_staging: bool = False


def read_requests(
    before: RegistryState, now: RegistryState, production: int | None, staging: int | None
) -> RegistryRequests:
    """The changes between the registry as we last knew it and as it is, against what is really in both stages."""
    to_production = _requests(Stage.PRODUCTION, before, now, holder=production)
    to_staging = _requests(Stage.STAGING, before, now, holder=staging)
    refusals = [*to_production.refusals, *to_staging.refusals, *_misspelt(before, now)]
    if production is not None and not to_production.requests and not to_production.refusals:
        refusals += _taken_out_of_production(before, now, production)
    wanted_in_production = {request.version for request in to_production.requests}
    barred = wanted_in_production | {refusal.version for refusal in refusals}
    stagings = tuple(request for request in to_staging.requests if request.version not in barred)
    left = (
        staging is not None
        and was_taken_from(Stage.STAGING, staging, before, now)
        and staging not in barred
        and not versions_moved_into(Stage.STAGING, before, now) & now.stages.keys()
    )
    return RegistryRequests((*to_production.requests, *stagings), tuple(refusals), left)


def _requests(stage: Stage, before: RegistryState, now: RegistryState, holder: int | None) -> RegistryRequests:
    versions = sorted(versions_moved_into(stage, before, now) & now.stages.keys())
    others = [version for version in versions if version != holder]
    if len(versions) == 1:
        return RegistryRequests(tuple(PromotionRequest(stage, version) for version in others))
    listed = " and ".join(map(str, versions))
    reason = f"Versions {listed} were asked for {stage} at the same time (by stage and by alias, or twice)."
    return RegistryRequests(refusals=tuple(RefusedChange(stage, version, reason) for version in others))


def _taken_out_of_production(before: RegistryState, now: RegistryState, production: int) -> list[RefusedChange]:
    if not was_taken_from(Stage.PRODUCTION, production, before, now):
        return []
    how = "deleted" if production not in now.stages else "taken out of Production"
    reason = (
        f"Version {production} was {how} while its release is served. "
        "Use `slate rollback`, or put another version into Production."
    )
    return [RefusedChange(Stage.PRODUCTION, production, reason)]


def _misspelt(before: RegistryState, now: RegistryState) -> list[RefusedChange]:
    return [
        RefusedChange(
            Stage.PRODUCTION if alias.lower() == ALIASES[Stage.PRODUCTION] else Stage.STAGING,
            version,
            f"The alias `{alias}` is another one than `{alias.lower()}`: write it in lower case.",
        )
        for alias, version in now.misspelt_aliases().items()
        if before.aliases.get(alias) != version
    ]
