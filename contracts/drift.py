"""How far a column has moved between two profiles: population stability index, new and vanished categories.

PSI = sum over bins of (now - then) * ln(now / then), of shares; 0 where nothing moved, the same both ways round.
Source: Siddiqi, Credit Risk Scorecards, Wiley 2006; it is the divergence J(1, 2) of Kullback and Leibler, Annals of
Mathematical Statistics 1951. By chance alone it comes to about (bins - 1) * (1 / rows then + 1 / rows now): Yurdakul
and Naranjo, Journal of Risk Model Validation 2020.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, pairwise

from contracts.profiles import (
    CategoryProfile,
    ColumnProfile,
    HourProfile,
    NumberProfile,
    PresenceProfile,
    TableProfile,
)
from contracts.settings.drift import DriftSettings

# An empty bin would make the index infinite: no share counts as less than this. One bin of a tenth that empties then
# comes to 0.69, and not to more for being one of a larger table.
LEAST_SHARE = 1e-4
N_BINS = 10  # of numbers: tenths of what they were
MISSING = "missing"
OTHER = "other"


class Verdict(StrEnum):
    """What the thresholds make of a column."""

    STEADY = "steady"
    MOVED = "moved"
    BROKEN = "broken"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Bin:
    """One part of a column, and its share of the rows then and now."""

    label: str
    then: float
    now: float


@dataclass(frozen=True)
class ColumnDrift:
    """One column, then and now. new, vanished: categories with their share of the rows on the side that has them; None
    where a column has no categories.

    psi: None where it was not judged; reason: why a verdict is what it is, empty where it is steady.
    """

    table: str
    column: str
    verdict: Verdict
    reason: str = ""
    psi: float | None = None
    bins: tuple[Bin, ...] = ()
    new: Mapping[str, float] | None = None
    vanished: Mapping[str, float] | None = None

    @property
    def category_share(self) -> float:
        """The rows in categories that are new or vanished, whichever is more."""
        return max(sum((self.new or {}).values()), sum((self.vanished or {}).values()))

    @property
    def most_moved(self) -> list[Bin]:
        """The bins, those that make most of the index first."""
        return sorted(self.bins, key=lambda one: _term(one.then, one.now), reverse=True)


def population_stability(then: Sequence[float], now: Sequence[float]) -> float:
    """PSI of two divisions of a whole into the same bins, as shares."""
    return math.fsum(_term(one, other) for one, other in zip(then, now, strict=True))


def table_drift(name: str, then: TableProfile, now: TableProfile, settings: DriftSettings) -> tuple[ColumnDrift, ...]:
    """Every column that either profile has, in the order of today's."""
    columns = [*now, *(column for column in then if column not in now)]
    return tuple(_column_drift(name, column, then.get(column), now.get(column), settings) for column in columns)


def drift_between(
    then: Mapping[str, TableProfile], now: Mapping[str, TableProfile], settings: DriftSettings
) -> tuple[ColumnDrift, ...]:
    """Every column of every table that both know."""
    return tuple(drift for name in now if name in then for drift in table_drift(name, then[name], now[name], settings))


def _column_drift(
    table: str, column: str, then: ColumnProfile | None, now: ColumnProfile | None, settings: DriftSettings
) -> ColumnDrift:
    if then is None or now is None or then.kind != now.kind:
        return ColumnDrift(table, column, Verdict.NOT_JUDGED, "only one of the two has such a profile of it")
    n_rows = min(then.total, now.total)
    if n_rows < settings.min_rows:
        return ColumnDrift(table, column, Verdict.NOT_JUDGED, f"{n_rows:,} rows; {settings.min_rows:,} are needed")
    bins = tuple(_bins(then, now))
    psi = population_stability([one.then for one in bins], [one.now for one in bins])
    new, vanished = _unshared_categories(now, then, settings), _unshared_categories(then, now, settings)
    drift = ColumnDrift(table, column, Verdict.STEADY, "", psi, bins, new, vanished)
    return _judged(drift, settings)


def _judged(drift: ColumnDrift, settings: DriftSettings) -> ColumnDrift:
    psi, share = drift.psi or 0.0, drift.category_share
    reasons = []
    if psi > settings.warn_psi:
        reasons.append(f"its population stability index is {psi:.3f}")
    if share > settings.warn_category_share:
        reasons.append(_category_changes(drift))
    broken = psi > settings.max_psi or share > settings.max_category_share
    verdict = Verdict.BROKEN if broken else Verdict.MOVED if reasons else Verdict.STEADY
    return replace(drift, verdict=verdict, reason="; ".join(reasons))


def _category_changes(drift: ColumnDrift) -> str:
    parts = []
    for word, shares in (("new", drift.new), ("vanished", drift.vanished)):
        if shares:
            parts.append(f"{word}: " + ", ".join(f"{one} ({share:.1%})" for one, share in shares.items()))
    return "; ".join(parts)


def _unshared_categories(here: ColumnProfile, there: ColumnProfile, settings: DriftSettings) -> dict[str, float] | None:
    """The categories that one side has and the other does not name, with their shares; small ones left out."""
    if not isinstance(here, CategoryProfile) or not isinstance(there, CategoryProfile):
        return None
    shares = {one: count / here.total for one, count in sorted(here.counts.items()) if one not in there.counts}
    return {one: share for one, share in shares.items() if share >= settings.warn_category_share}


def _bins(then: ColumnProfile, now: ColumnProfile) -> Iterator[Bin]:
    counted = [*_bin_counts(then, now), (MISSING, then.missing, now.missing)]
    for label, before, after in counted:
        if before or after:
            yield Bin(label, before / then.total, after / now.total)


def _bin_counts(then: ColumnProfile, now: ColumnProfile) -> Iterator[tuple[str, float, float]]:
    """Label, and rows then and now, of every bin but the missing values."""
    match then, now:
        case NumberProfile(), NumberProfile():
            yield from _number_bins(then, now)
        case HourProfile(), HourProfile():
            for hour, counts in enumerate(zip(then.counts, now.counts, strict=True)):
                yield f"{hour:02} h", *counts
        case CategoryProfile(), CategoryProfile():
            for one, count in then.counts.items():
                yield one, count, now.counts.get(one, 0)
            yield OTHER, then.other, now.other + sum(n for one, n in now.counts.items() if one not in then.counts)
        case PresenceProfile(), PresenceProfile():
            yield "given", then.present, now.present


def _number_bins(then: NumberProfile, now: NumberProfile) -> Iterator[tuple[str, float, float]]:
    cuts = _cuts(then)
    before = [0.0, *(_at_most(then, cut) for cut in cuts), float(sum(then.counts))]
    after = [0.0, *(_at_most(now, cut) for cut in cuts), float(sum(now.counts))]
    for label, (low, high), (low_now, high_now) in zip(_labels(cuts), pairwise(before), pairwise(after), strict=True):
        yield label, high - low, high_now - low_now


def _cuts(then: NumberProfile) -> list[float]:
    """Where the bins end, but for the last, which is open: at every value of few, at the tenths of many."""
    if then.exact and len(then.uppers) <= 2 * N_BINS:
        return then.uppers[:-1]
    below = list(accumulate(then.counts))
    ends = [bisect_left(below, below[-1] * tenth / N_BINS) for tenth in range(1, N_BINS)] if below else []
    return [then.uppers[end] for end in dict.fromkeys(ends) if end < len(then.uppers) - 1]


def _labels(cuts: Sequence[float]) -> Iterator[str]:
    if not cuts:
        yield "any number"
        return
    yield f"to {cuts[0]:g}"
    for low, high in pairwise(cuts):
        yield f"{low:g} to {high:g}"
    yield f"above {cuts[-1]:g}"


def _at_most(profile: NumberProfile, cut: float) -> float:
    """Values of at most `cut`; within a bin of quantiles they are taken to lie evenly."""
    position = bisect_left(profile.uppers, cut)
    below = float(sum(profile.counts[:position]))
    if position == len(profile.uppers):
        return below
    if profile.uppers[position] == cut:
        return below + profile.counts[position]
    if profile.exact or position == 0:
        return below
    low, high = profile.uppers[position - 1], profile.uppers[position]
    return below + profile.counts[position] * (cut - low) / (high - low)


def _term(then: float, now: float) -> float:
    then, now = max(then, LEAST_SHARE), max(now, LEAST_SHARE)
    return (now - then) * math.log(now / then)
