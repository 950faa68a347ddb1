"""Parameters `candidates`: which generators there are, and their families."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator

from contracts.settings.group import Group
from contracts.settings.search_range import SearchRange

# Fitted unless they are off.
ALWAYS_THERE: Final = (
    "als",
    "content",
    "covisitation",
    "covisitation_max",
    "new_arrivals",
    "next_visit",
    "popular",
    "popular_newcomers",
    "popular_recent",
    "popular_returning",
    "popular_segment",
)
# What a release cannot do without, and why.
NEVER_OFF: Final = {
    "als": "the vector index holds its vectors",
    "popular": "it is what is left to propose where nothing else is",
}


class AlsSettings(Group):
    """Hu, Koren and Volinsky 2008. factors: width of a vector; alpha: confidence of one event."""

    factors: Annotated[int, SearchRange(8, 128, log=True)] = Field(ge=1, le=1024)
    regularization: Annotated[float, SearchRange(0.001, 1, log=True)] = Field(ge=0)
    alpha: Annotated[float, SearchRange(1, 100, log=True)] = Field(gt=0)
    iterations: Annotated[int, SearchRange(5, 30)] = Field(ge=1, le=1000)


class CovisitationSettings(Group):
    """The item-to-item generators. decay_days: age at which an event counts 1/e; visit_gap_hours: a longer pause ends a
    visit; n_neighbours: kept per item; popularity_damping: 0 divides by the popularity of the item of the history, 1 by
    that of the neighbour; history_length: latest items of a history that are looked at; step_weight: of `covisitation`,
    the item n steps back from the latest of a history counts step_weight ** n."""

    decay_days: Annotated[float, SearchRange(5, 365, log=True)] = Field(gt=0)
    visit_gap_hours: Annotated[float, SearchRange(1, 72, log=True)] = Field(gt=0)
    n_neighbours: Annotated[int, SearchRange(20, 300, log=True)] = Field(ge=1, le=10_000)
    popularity_damping: Annotated[float, SearchRange(0, 1)] = Field(ge=0, le=1)
    history_length: int = Field(ge=1, le=10_000)
    step_weight: Annotated[float, SearchRange(0.5, 1)] = Field(default=1.0, gt=0, le=1)


class NextVisitSettings(Group):
    """step_weight: the item n steps back from the latest of a history counts step_weight ** n. The rest is as said for
    the other item-to-item generators."""

    step_weight: Annotated[float, SearchRange(0.5, 1)] = Field(default=1.0, gt=0, le=1)


class PopularSettings(Group):
    """recent_days: the window of what is popular of late.
    segment_smoothing: everybody's events mixed into a segment's own."""

    recent_days: Annotated[float, SearchRange(3, 120, log=True)] = Field(gt=0)
    segment_smoothing: Annotated[float, SearchRange(1, 1000, log=True)] = Field(ge=0)


class CandidateSettings(Group):
    """One group per family of generators; all that are popular, in whatever window or segment, share theirs.

    off: generators that are not there at all: neither fitted, nor stored, asked, or a feature of the ranker. (One with
    the quota 0 proposes nothing, and is everything else.)
    """

    als: AlsSettings
    covisitation: CovisitationSettings
    next_visit: NextVisitSettings = NextVisitSettings()
    popular: PopularSettings
    off: tuple[str, ...] = ()

    @field_validator("off")
    @classmethod
    def _can_be_off(cls, off: tuple[str, ...]) -> tuple[str, ...]:
        for name in off:
            if name in NEVER_OFF:
                raise ValueError(f"{name} cannot be off: {NEVER_OFF[name]}. Its quota may be 0")
            if name not in ALWAYS_THERE:
                others = ", ".join(known for known in ALWAYS_THERE if known not in NEVER_OFF)
                raise ValueError(f"there is no generator {name!r} to turn off; these may be: {others}")
        return off
