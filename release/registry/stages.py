"""MLflow's stages. They work in MLflow 3 but are deprecated: every call that will vanish with them is in here.

Where they have vanished, the aliases `production` and `staging` say the same alone, and nothing is archived any more.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from release.registry.state import ALIASES, Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient


def stage_of(client: MlflowClient, raw: Any, aliases: Mapping[str, int]) -> Stage:
    """The stage of a version as MLflow returned it; by its alias where there are no stages any more."""
    if _are_there(client):
        return Stage(raw.current_stage or "None")
    named = (stage for stage, alias in ALIASES.items() if aliases.get(alias) == int(raw.version))
    return next(named, Stage.NONE)


def set_stage(client: MlflowClient, model: str, version: int, stage: Stage) -> None:
    """Put one version into a stage, and leave the others where they are."""
    if not _are_there(client):
        return
    with _deprecation_accepted():
        client.transition_model_version_stage(model, str(version), str(stage), archive_existing_versions=False)


def resolved(client: MlflowClient, model: str, stage: Stage) -> int | None:
    """The version that `models:/<model>/<stage>` means, or its alias where there are no stages; None where none."""
    if not _are_there(client):
        number = client.get_registered_model(model).aliases.get(ALIASES[stage])
        return None if number is None else int(number)
    with _deprecation_accepted():
        latest = client.get_latest_versions(model, [str(stage)])
    return int(latest[0].version) if latest else None


def _are_there(client: MlflowClient) -> bool:
    # MLflow announces that they go, not in which version: only the client itself can tell.
    if hasattr(client, "transition_model_version_stage"):
        return True
    _say_that_they_are_gone()
    return False


@cache
def _say_that_they_are_gone() -> None:
    logging.getLogger(__name__).warning("This MLflow has no stages any more: ask for a promotion by alias alone.")


@contextmanager
def _deprecation_accepted() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Model registry stages", category=FutureWarning)
        yield
