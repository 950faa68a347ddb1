"""Terms that views share: how long a value may be served, and who owns it."""

from __future__ import annotations

from datetime import timedelta

WITHOUT_END = timedelta(days=36_500)  # a hundred years


def serving_ttl(days: int) -> timedelta:
    """How long a value over a window of so many days may be served: a week for short windows, a month for longer ones,
    and never less than the window itself."""
    return timedelta(days=max(days, 7 if days <= 7 else 30))
