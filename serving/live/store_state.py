"""What a server follows: what the online store names now, or what stands in for it while the store cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.errors import SlateworkError, StoreError, StoreUnavailable
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import ServingTargets
from serving.live.production import Production

NO_RELEASE = StoreError(
    "No release is in production.",
    "Promote one: `slate promote VERSION`. `slate register` makes a version of what `dvc repro` built.",
)
POINTER_GONE = "pointer"
NOTHING_NAMED = ServingTargets()


@dataclass(frozen=True)
class StoreState:
    """What to serve, whether Redis answered, and what was wrong with its answer.

    missing: what answers must name as missing; a Redis that is away is named by the request path itself.
    """

    targets: ServingTargets
    online: bool
    problem: SlateworkError | None = None
    missing: tuple[str, ...] = ()


def read_store_state(production: Production, last: ServingTargets, *, with_staging: bool) -> StoreState:
    """Ask the store once. last: what to go on with where it does not answer, or does not know any more."""
    try:
        targets, problem = _read_targets(production)
    except StoreUnavailable as error:
        return StoreState(last, online=False, problem=error)
    except StoreError as error:
        return StoreState(last, online=True, problem=error, missing=(POINTER_GONE,))
    if targets.pointer is None and last.pointer is not None:
        return StoreState(ServingTargets(last.pointer), True, _pointer_gone(last.pointer), (POINTER_GONE,))
    if targets.pointer is None:
        return StoreState(NOTHING_NAMED, online=True, problem=NO_RELEASE)
    return StoreState(targets if with_staging else replace(targets, staged=None), online=True, problem=problem)


def _read_targets(production: Production) -> tuple[ServingTargets, StoreError | None]:
    """What the store names; the pointer alone, and why, where what it says of Staging or the canary is damaged."""
    try:
        return production.targets(), None
    except StoreUnavailable:
        raise
    except StoreError as error:
        return ServingTargets(production.pointer()), error


def _pointer_gone(last: Pointer) -> SlateworkError:
    return StoreError(
        f"Redis holds no pointer; the last one named release {last.release_id}, which is still served.",
        "`slate sync` writes it again from the journal, and the values with it.",
    )
