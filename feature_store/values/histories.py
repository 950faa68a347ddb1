"""Histories of many people as three long arrays: what the offline reader slices and publishing packs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from contracts.errors import ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import History
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import EventCodes
from feature_store.values.value_source import EVENT_TYPES


class EventsByPerson:
    """Everybody's events, dense ids inside.

    histories: as `values.HISTORY_SCHEMA`. Raises ReleaseMismatch when they hold an item that `item_ids` does not know.
    """

    def __init__(self, histories: pl.DataFrame, item_ids: IdMap) -> None:
        self.user_ids: list[str] = histories["user_id"].to_list()
        self._events, lengths = events_of(histories, item_ids)
        ends = np.cumsum(lengths)
        self._slices = {
            user_id: slice(int(start), int(end))
            for user_id, start, end in zip(self.user_ids, ends - lengths, ends, strict=True)
        }

    def of(self, user_id: str) -> History:
        """One person's events, oldest first; empty for somebody unknown."""
        mine = self._slices.get(user_id)
        if mine is None:
            return History.empty()
        return self._events.where(mine)


def events_of(histories: pl.DataFrame, item_ids: IdMap) -> tuple[History, npt.NDArray[np.int64]]:
    """The events of all rows one after the other, and how many are of each row.

    Raises ReleaseMismatch when they hold an item that `item_ids` does not know.
    """
    lengths = histories["item_ids"].list.len().to_numpy().astype(np.int64)
    rows = _exploded(histories)
    events = History(
        item_ids.indices(rows["item_ids"]),
        rows["event_ts"].to_numpy().astype(np.int64),
        _types(rows),
        rows["values"].to_numpy().astype(np.float32),
    )
    _check_known(rows["item_ids"], events, item_ids)
    return events, lengths


def histories_of_items(histories: pl.DataFrame, item_ids: IdMap) -> pl.DataFrame:
    """Everybody's events of the map's items, in their order; whoever has none left keeps an empty history."""
    known = pl.Series(item_ids.ids, dtype=pl.String).implode()
    kept = _exploded(histories).filter(pl.col("item_ids").is_in(known)).group_by("user_id", maintain_order=True).all()
    return histories.select("user_id").join(kept, "user_id", "left").with_columns(pl.exclude("user_id").fill_null([]))


def _exploded(histories: pl.DataFrame) -> pl.DataFrame:
    return histories.explode(cs.exclude("user_id"), empty_as_null=False)


def _types(rows: pl.DataFrame) -> EventCodes:
    if EVENT_TYPES not in rows.columns:
        return np.full(rows.height, UNSPECIFIED_TYPE, np.uint8)
    return rows[EVENT_TYPES].to_numpy().astype(np.uint8)


def _check_known(names: pl.Series, events: History, item_ids: IdMap) -> None:
    unknown = np.flatnonzero(events.item_idx == UNKNOWN)
    if len(unknown):
        raise ReleaseMismatch(
            f"The histories hold {len(unknown)} events of items that the id map {item_ids.fingerprint} does not know, "
            f"among them {names[int(unknown[0])]!r}.",
            "Values and catalogue belong to different releases. Run `dvc repro`, or check out one release.",
        )
