"""The paths of dvc.yaml, relative to the checkout (or worktree) a stage runs in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class Cutoff(StrEnum):
    """Where the models' data ends: before the test window (measured), or at the end (shipped)."""

    TEST = "test"
    ALL = "all"


RAW = Path("data/raw")
VALID = Path("data/valid")
QUARANTINE = Path("data/quarantine")
VALIDATION_RESULT = Path("reports/validation.json")
FEATURES = Path("data/features")
CANDIDATES = Path("models/candidates")
INDEX = Path("models/index")
RANKING = Path("models/ranking")
EVALUATION = Path("reports/evaluation")
BUNDLE = Path("build/release")
RECEIPT = Path("build/receipt.json")
REGISTERED = "registered.json"  # in the folder of a run under SLATE_HOME/runs: where it stands in MLflow


def feature_values(cutoff: Cutoff) -> Path:
    """The latest feature values per entity as of the cutoff."""
    return FEATURES / "latest" / cutoff


def feature_training() -> Path:
    """The point-in-time feature tables at the snapshots: `user.parquet`, `item.parquet`."""
    return FEATURES / "training"
