"""Items and people that no file describes: whoever and whatever the interactions name."""

from __future__ import annotations

import polars as pl

from sources.sound_ids import sound_ids


class Seen:
    """Remembers ids, batch by batch; memory grows with the ids alone."""

    def __init__(self) -> None:
        self._ids = {key: pl.Series(key, [], dtype=pl.String) for key in ("item_id", "user_id")}

    def add(self, interactions: pl.DataFrame) -> None:
        """Take a batch of interactions."""
        for key, known in self._ids.items():
            self._ids[key] = pl.concat([known, interactions[key].unique()]).unique()

    def items(self) -> pl.DataFrame:
        """item_id and title, the id again; ids that are not sound are no items."""
        ids = sound_ids(self._ids["item_id"])
        return pl.DataFrame({"item_id": ids, "title": ids})

    def users(self) -> pl.DataFrame:
        """user_id; ids that are not sound are nobody."""
        return pl.DataFrame({"user_id": sound_ids(self._ids["user_id"])})
