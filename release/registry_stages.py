"""MLflow's stages. They work in MLflow 3 but are deprecated: every call that will vanish with them is in here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from release.registry_state import Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient


def set_stage(client: MlflowClient, model: str, version: int, stage: Stage) -> None:
    """Put one version into a stage, and leave the others where they are."""
    with _deprecation_accepted():
        client.transition_model_version_stage(model, str(version), str(stage), archive_existing_versions=False)


def resolved(client: MlflowClient, model: str, stage: Stage) -> int | None:
    """The version that `models:/<model>/<stage>` means; None where it means none."""
    with _deprecation_accepted():
        latest = client.get_latest_versions(model, [str(stage)])
    return int(latest[0].version) if latest else None


@contextmanager
def _deprecation_accepted() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Model registry stages", category=FutureWarning)
        yield
