"""How far views reach, how long what they say is true, and who answers for them."""

from __future__ import annotations

from datetime import timedelta

OWNER = "recommendations"
WITHOUT_END = timedelta(days=36_500)  # a hundred years


def serving_ttl(days: int) -> timedelta:
    """A count of few days says nothing a week later; one of many days bears a month. Never under the window itself."""
    return timedelta(days=max(days, 7 if days <= 7 else 30))
