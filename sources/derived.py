"""Items and people that no file describes: who and what the interactions name, and when each was first seen."""

from __future__ import annotations

import polars as pl


class Seen:
    """Remembers ids and the first time of each, batch by batch; memory grows with the ids alone."""

    def __init__(self) -> None:
        self._first: dict[str, pl.DataFrame | None] = {"item_id": None, "user_id": None}

    def add(self, interactions: pl.DataFrame) -> None:
        """Take a batch of interactions; ids that say nothing are nobody."""
        for key, known in self._first.items():
            says_something = pl.col(key).str.strip_chars() != ""
            here = interactions.filter(says_something).select(key, first=pl.col("event_ts"))
            both = here if known is None else pl.concat([known, here])
            self._first[key] = both.group_by(key).agg(pl.col("first").min())

    def items(self) -> pl.DataFrame:
        """item_id, title (the id) and created_ts (the first time it was seen)."""
        return self._table("item_id").select("item_id", title=pl.col("item_id"), created_ts=pl.col("first"))

    def users(self) -> pl.DataFrame:
        """user_id and signup_ts (the first time they were seen)."""
        return self._table("user_id").select("user_id", signup_ts=pl.col("first"))

    def _table(self, key: str) -> pl.DataFrame:
        return self._first[key] if self._first[key] is not None else pl.DataFrame({key: [], "first": []})  # type: ignore[return-value]
