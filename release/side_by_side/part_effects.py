"""What each part that differs adds: put into A, taken out of B, and the mean of both, over the same people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.errors import ArtefactError, ReleaseMismatch
from recommender.judging.intervals import Interval, PerPerson
from release.bundle.bundle import Release
from release.evaluation.summary import Bootstrap
from release.side_by_side.answers import Asker, headline_values
from release.side_by_side.parts import Swap, differing_parts, swap

Values = Mapping[str, PerPerson]  # by group, a value a person
Working = Callable[[str], None]


@dataclass(frozen=True)
class PartEffect:
    """What B gains over A by one part. by_group: the mean over the ways it was tried, with its paired interval.

    into_a, out_of_b: the mean of the group that heads, of A with B's part less A, and of B less B with A's part;
    None where the part did not fit. why_not: both reasons where it fitted nowhere; note: what to know of it.
    """

    part: str
    by_group: Mapping[str, Interval]
    into_a: Mapping[str, float] | None
    out_of_b: Mapping[str, float] | None
    why_not: tuple[str, ...] = ()
    note: str = ""

    @property
    def fits(self) -> bool:
        return bool(self.by_group)


@dataclass(frozen=True)
class PartTrial:
    """Tries every part of two releases. of_a, of_b: what was measured of the two as they are, one metric by group."""

    asker: Asker
    a: Release
    b: Release
    of_a: Values
    of_b: Values
    metric: str

    def effects(self, bootstrap: Bootstrap, begin: Working) -> list[PartEffect]:
        """Of each part that differs. begin: is told what is asked next."""
        return [self._effect(part, bootstrap, begin) for part in differing_parts(self.a, self.b)]

    def _effect(self, part: str, bootstrap: Bootstrap, begin: Working) -> PartEffect:
        begin(part)
        into, into_values = self._ask(swap(part, self.a, self.b), f"A with B's {part}")
        out, out_values = self._ask(swap(part, self.b, self.a), f"B with A's {part}")
        gained = None if into_values is None else _less(into_values, self.of_a)
        lost = None if out_values is None else _less(self.of_b, out_values)
        tried = [one for one in (gained, lost) if one is not None]
        return PartEffect(
            part,
            _intervals(tried, bootstrap, part),
            _means(gained),
            _means(lost),
            () if tried else tuple(dict.fromkeys([f"into A: {into.why_not}", f"into B: {out.why_not}"])),
            into.note or out.note,
        )

    def _ask(self, swapped: Swap, what: str) -> tuple[Swap, Values | None]:
        if swapped.release is None:
            return swapped, None
        try:
            return swapped, headline_values(self.asker.ask(swapped.release, what), self.metric)
        except (ArtefactError, ReleaseMismatch) as error:
            return Swap(swapped.part, None, error.problem), None


def _less(ours: Values, theirs: Values) -> Values:
    return {group: values - theirs[group] for group, values in ours.items()}


def _means(values: Values | None) -> Mapping[str, float] | None:
    return None if values is None else {group: float(of_group.mean()) for group, of_group in values.items()}


def _intervals(tried: Sequence[Values], bootstrap: Bootstrap, part: str) -> dict[str, Interval]:
    if not tried:
        return {}
    return {
        group: bootstrap.interval(np.mean([one[group] for one in tried], axis=0), group, "part", part)
        for group in tried[0]
    }
