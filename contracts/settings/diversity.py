"""Parameters `request.diversity`: what a slate is chosen by beside relevance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.settings.group import Group


class DiversitySettings(Group):
    """What a slate is chosen by beside relevance, and what that may cost (docs/diversity.md).

    method: none keeps the ranker's order; mmr and dpp shun items that are alike; calibration divides the slate among
    categories as the person's history is. over: what makes items alike for mmr and dpp: their categories, what their
    titles and texts say, or both alike. strength: wished for, 0 keeps the order, 1 looks at nothing but the rest.
    max_relevance_loss: the share of a slate's discounted relevance that may be lost; the strength of each slate is
    lowered until it is. adaptive: the share of the strength that hangs on how narrow the person's history and the
    ranker's own slate are, and on how unsure the ranker is; 0 is the same for everybody.

    No range for `slate tune`: it looks for relevance, and would always turn diversity off.
    """

    method: Literal["none", "mmr", "dpp", "calibration"] = "none"
    over: Literal["categories", "content", "both"] = "categories"
    strength: float = Field(default=0.5, ge=0, le=1)
    max_relevance_loss: float = Field(default=0.05, ge=0, le=1)
    adaptive: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _histories_have_categories(self) -> DiversitySettings:
        if self.method == "calibration" and self.over != "categories":
            raise ValueError(f"method calibration goes by categories; over is {self.over}")
        return self
