"""Which bounds of `validate` an export needs to pass, and why; and what no bound should wave through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sources.validation.failures import Failure

HEADROOM: Final = 1.5  # later days may be somewhat worse


@dataclass(frozen=True)
class Bound:
    """One parameter of `validate`, and why it must be that."""

    value: float
    why: str


@dataclass(frozen=True)
class _Raisable:
    """A rule whose bound may be raised. most: the share above which the data must be mended; why: of what there are."""

    parameter: str
    most: float
    why: str


_SHARES: Final[Mapping[str, _Raisable]] = {
    "duplicate_share": _Raisable("max_duplicate_share", 0.3, "repeat an earlier row: same person, item, type and time"),
    "quarantine_share": _Raisable("max_quarantine_share", 0.3, "break a rule, and go to quarantine"),
    "user_share": _Raisable("max_user_share", 0.6, "are one person's"),
}
_ENOUGH: Final = "enough_rows"
_FEWEST: Final = 100  # interactions; with fewer there is nothing to learn from


def needed_bounds(failures: Iterable[Failure]) -> tuple[dict[str, Bound], list[Failure]]:
    """The bounds that these failures need, by parameter, and the failures that must be mended in the data."""
    bounds: dict[str, Bound] = {}
    left: list[Failure] = []
    for failure in failures:
        bound = _bound(failure)
        if bound is None:
            left.append(failure)
            continue
        parameter, needed = bound
        # Items and people have the same bound as interactions.
        if parameter not in bounds or needed.value > bounds[parameter].value:
            bounds[parameter] = needed
    return bounds, left


def _bound(failure: Failure) -> tuple[str, Bound] | None:
    measured = _measured(failure.observed)
    raisable = _SHARES.get(failure.rule)
    if raisable is not None and measured <= raisable.most:
        why = f"{measured:.2%} of the {failure.table} {raisable.why}"
        return raisable.parameter, Bound(_rounded_up(min(HEADROOM * measured, 1.0)), why)
    if failure.rule == _ENOUGH and failure.table == "interactions" and measured >= _FEWEST:
        return "min_interactions", Bound(int(measured / HEADROOM), f"there are {int(measured):,}")
    return None


def _measured(observed: str) -> float:
    try:
        return float(observed.replace(",", ""))
    except ValueError:
        return math.inf


def _rounded_up(share: float) -> float:
    """Two digits are enough: 0.01683 is 0.017."""
    step = 10.0 ** (math.floor(math.log10(share)) - 1)
    return round(math.ceil(share / step - 1e-9) * step, 10)
