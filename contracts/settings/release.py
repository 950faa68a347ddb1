"""Parameters `release`: the golden queries of a release."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class ReleaseSettings(Group):
    """n_golden_queries: requests whose answers travel with the release; golden_tolerance: largest score difference."""

    n_golden_queries: int = Field(ge=1, le=200)
    golden_tolerance: float = Field(ge=0)
