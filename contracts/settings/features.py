"""Parameters `features`: the split by time, and what computes the features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.settings.group import Group


class FeatureSettings(Group):
    """train_share and validation_share: shares of the interactions in time order; the rest is the test window.

    n_snapshots: moments at which training rows are made; snapshot_step_share: share of interactions between two.
    history_length: events kept per person, the latest.
    engine: what computes them, and checks the rules of `validate`; `spark` needs `make spark` and Java. It is part of a
    release's identity like the others.
    """

    engine: Literal["duckdb", "spark"] = "duckdb"
    train_share: float = Field(gt=0, lt=1)
    validation_share: float = Field(gt=0, lt=1)
    n_snapshots: int = Field(ge=2, le=50)
    snapshot_step_share: float = Field(gt=0, lt=0.5)
    history_length: int = Field(ge=1, le=10_000)

    @model_validator(mode="after")
    def _something_is_left_to_test_on(self) -> FeatureSettings:
        if self.train_share + self.validation_share >= 1:
            raise ValueError("train_share + validation_share must stay under 1: the rest is the test window")
        return self
