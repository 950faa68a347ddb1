"""Parameters `validate`: what data may pass."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.settings.drift import DriftSettings
from contracts.settings.group import Group


class ValidateSettings(Group):
    """Shares are of the table's rows, 0 to 1. baseline: the file of the validation that volumes and columns are held
    against; `slate baseline accept` writes it, DVC watches it, and it must exist: `{"tables": {}}` holds nothing.
    max_user_share: of all interactions, how many one person may have. max_swapped_files: how many files of interactions
    may look as if two of their columns of ids were swapped. drift: against the baseline."""

    baseline: str = Field(min_length=1)
    max_quarantine_share: float = Field(ge=0, le=1)
    max_duplicate_share: float = Field(ge=0, le=1)
    max_user_share: float = Field(gt=0, le=1)
    max_swapped_files: int = Field(ge=0)
    min_interactions: int = Field(ge=1)
    min_volume_ratio: float = Field(ge=0, le=1)
    max_volume_ratio: float = Field(ge=1)
    min_value: float
    max_value: float
    drift: DriftSettings

    @model_validator(mode="after")
    def _some_value_is_in_range(self) -> ValidateSettings:
        if self.min_value > self.max_value:
            raise ValueError(f"min_value {self.min_value:g} is above max_value {self.max_value:g}: no value would pass")
        return self
