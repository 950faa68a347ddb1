"""Parameters `evaluate`: what is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from contracts.settings.group import Group

PROMOTION_CUTOFF = 10  # releases are compared by NDCG at this cut-off, whatever else is measured


class EvaluateSettings(Group):
    """cutoffs: the k of NDCG@k and its kin, the headline's first; n_bootstrap: resamples behind an interval;
    max_people: of more people in the test window so many are drawn and asked about, which bounds the bundle as well."""

    cutoffs: list[Annotated[int, Field(ge=1, le=500)]] = Field(min_length=1)
    n_bootstrap: int = Field(ge=100, le=100_000)
    max_people: int = Field(ge=1)

    @model_validator(mode="after")
    def _the_headline_is_what_promotion_reads(self) -> EvaluateSettings:
        if self.cutoffs[0] != PROMOTION_CUTOFF:
            raise ValueError(f"cutoffs must begin with {PROMOTION_CUTOFF}: promotion compares NDCG@{PROMOTION_CUTOFF}")
        return self
