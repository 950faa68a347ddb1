"""Items and people that no file describes: tables made of the ids in the interactions."""

from __future__ import annotations

import polars as pl

from sources.canonical.sound_ids import sound_ids

MANY = 1_000_000  # ids kept batch by batch before they are merged


class EntityIds:
    """The distinct ids of the interactions, added batch by batch; memory grows with the ids alone."""

    def __init__(self) -> None:
        self._ids: dict[str, list[pl.Series]] = {"item_id": [], "user_id": []}

    def add(self, interactions: pl.DataFrame) -> None:
        """Take a batch of interactions."""
        for key, parts in self._ids.items():
            parts.append(interactions[key].unique())
            if sum(map(len, parts[1:])) > max(len(parts[0]), MANY):
                parts[:] = [pl.concat(parts).unique()]

    def items(self) -> pl.DataFrame:
        """item_id, and the id again as title; unsound ids are left out."""
        ids = self._sound("item_id")
        return pl.DataFrame({"item_id": ids, "title": ids})

    def users(self) -> pl.DataFrame:
        """user_id; unsound ids are left out."""
        return pl.DataFrame({"user_id": self._sound("user_id")})

    def _sound(self, key: str) -> pl.Series:
        return sound_ids(pl.concat(self._ids[key]))
