"""Where time begins, and how long a year is, for everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAYS_PER_YEAR = 365.2425  # the mean of the Gregorian calendar


def epoch_microseconds(moment: datetime) -> int:
    """The whole microseconds since EPOCH; moment: with its zone. Exact, where a float of seconds is not."""
    return (moment - EPOCH) // MICROSECOND
