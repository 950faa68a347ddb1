"""The names of the rules that compare with the baseline: accepting today's data as normal mends these alone."""

from __future__ import annotations

from typing import Final

VOLUME: Final = "volume_against_baseline"
DRIFT: Final = "_drift"  # behind the name of a column
CATEGORIES: Final = "_categories"


def is_about_the_baseline(rule: str) -> bool:
    """Whether a rule compares with the baseline."""
    return rule == VOLUME or rule.endswith((DRIFT, CATEGORIES))


LEAST_PRICE: Final = 0.0
OLDEST_WORK_YEAR: Final = 1000
LARGEST_AGE: Final = 120  # years
