"""Parameters `validate.drift` and `promotion.drift`: when a column has moved."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.settings.group import Group


class DriftSettings(Group):
    """When a column has moved (contracts/drift.py). Above warn_psi, max_psi (of its population stability index), or
    warn_category_share, max_category_share (of rows in new or in vanished categories), it is told, or fails; columns of
    fewer than min_rows on either side are not judged."""

    warn_psi: float = Field(ge=0)
    max_psi: float = Field(gt=0)
    # A profile names at most a hundred categories: what has less than a hundredth may stand among the others.
    warn_category_share: float = Field(ge=0.01, le=1)
    max_category_share: float = Field(ge=0.01, le=1)
    min_rows: int = Field(ge=1)

    @model_validator(mode="after")
    def _what_fails_was_told_before(self) -> DriftSettings:
        if self.warn_psi > self.max_psi or self.warn_category_share > self.max_category_share:
            raise ValueError("warn_psi and warn_category_share must not exceed max_psi and max_category_share")
        return self
