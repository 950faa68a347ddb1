"""Where time begins, and how long its units are, for everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER_SECOND = 1_000_000
SECONDS_PER_DAY = 86_400
MICROSECONDS_PER_HOUR = 3600 * MICROSECONDS_PER_SECOND
MICROSECONDS_PER_DAY = SECONDS_PER_DAY * MICROSECONDS_PER_SECOND
DAYS_PER_YEAR = 365.2425  # the mean of the Gregorian calendar


def epoch_microseconds(moment: datetime) -> int:
    """The whole microseconds since EPOCH; moment: with its zone. Exact, where a float of seconds is not."""
    return (moment - EPOCH) // MICROSECOND
