"""The interactions as aligned arrays in dense ids: what fitting looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix

from contracts.calendar import SECONDS_PER_DAY
from contracts.features import History
from contracts.id_map import IdMap
from contracts.ids import EpochSeconds, EventCodes, FloatArray, ItemIdxArray, UserId
from contracts.positive_events import is_positive
from contracts.returns import NEVER_TAKEN_BACK, TAKEN_BACK_TS, with_taken_back_ts
from contracts.tables import type_codes
from recommender.ragged import pair_keys


@dataclass(frozen=True)
class Interactions:
    """Positive events of known items, sorted by person and then by time.

    user_ids: sorted; user_idx: (n_events,) into it. bounds: (n_users + 1,) person u's events are bounds[u]:bounds[u+1].
    item_idx, event_ts (epoch seconds), event_types (codes, see contracts.events), values (NaN where none): aligned with
    user_idx. taken_back_ts: the same, epoch seconds at which a purchase was taken back, NEVER_TAKEN_BACK where it was
    not; None where nothing was.
    """

    user_ids: tuple[UserId, ...]
    user_idx: npt.NDArray[np.int32]
    item_idx: ItemIdxArray
    event_ts: EpochSeconds
    event_types: EventCodes
    values: FloatArray
    bounds: npt.NDArray[np.int64]
    taken_back_ts: EpochSeconds | None = None

    @classmethod
    def of(cls, interactions: pl.DataFrame, ids: IdMap) -> Interactions:
        """The events of a canonical `interactions` table, whatever the order of its rows."""
        return KnownEvents.of(interactions, ids).all()

    def __len__(self) -> int:
        return len(self.item_idx)

    def history(self, user_idx: int, start: int, end: int) -> History:
        """What one person did at `start <= event_ts < end` (epoch seconds), oldest first."""
        part = self._part(user_idx, start, end)
        return History(self.item_idx[part], self.event_ts[part], self.event_types[part], self.values[part])

    def standing(self, user_idx: int, start: int, end: int, now: int) -> npt.NDArray[np.bool_]:
        """Which events of `history` were not taken back before `now` (epoch seconds)."""
        part = self._part(user_idx, start, end)
        if self.taken_back_ts is None:
            return np.ones(part.stop - part.start, bool)
        return np.asarray(self.taken_back_ts[part] >= now)

    def _part(self, user_idx: int, start: int, end: int) -> slice:
        first, last = self.bounds[user_idx], self.bounds[user_idx + 1]
        low, high = first + np.searchsorted(self.event_ts[first:last], [start, end])
        return slice(int(low), int(high))

    def ages(self, as_of: float) -> npt.NDArray[np.float64]:
        """(n_events,) seconds between each event and as_of (epoch seconds)."""
        return as_of - self.event_ts.astype(np.float64)

    def returning(self) -> npt.NDArray[np.bool_]:
        """(n_events,) True for what somebody did more than a day after the first thing they ever did."""
        first_ts = self.event_ts[self.bounds[:-1]]
        return np.asarray(self.event_ts - first_ts[self.user_idx] > SECONDS_PER_DAY)

    def visit_starts(self, gap_seconds: float) -> npt.NDArray[np.bool_]:
        """(n_events,) True where a visit begins: with somebody's first event, or after a pause longer than the gap."""
        starts = np.diff(self.user_idx, prepend=-1) != 0
        starts |= np.diff(self.event_ts, prepend=0) > gap_seconds
        return np.asarray(starts)

    def touched(self, n_items: int, weights: npt.NDArray[np.float64]) -> csr_matrix:
        """(n_users, n_items) the largest weight of each person's events with each item; weights: (n_events,) > 0."""
        pairs = pl.DataFrame({"pair": pair_keys(self.user_idx.astype(np.int64), self.item_idx), "weight": weights})
        largest = pairs.group_by("pair").agg(pl.max("weight")).sort("pair")
        keys, n_users = largest["pair"].to_numpy(), len(self.user_ids)
        offsets = np.searchsorted(keys, np.arange(n_users + 1) << 32)
        return csr_matrix((largest["weight"].to_numpy(writable=True), (keys & 0xFFFFFFFF), offsets), (n_users, n_items))


@dataclass(frozen=True)
class KnownEvents:
    """The positive events of known items, put in order once, so that what was known at many moments is read off.

    user_ids: sorted. rows: user_idx (into it), item_idx, event_ts, taken_back_ts (null where it stands), event_type (a
    code), value; by person and time.
    """

    user_ids: tuple[UserId, ...]
    rows: pl.DataFrame

    @classmethod
    def of(cls, interactions: pl.DataFrame, ids: IdMap) -> KnownEvents:
        """Of a canonical `interactions` table, whatever the order of its rows."""
        rows = (
            with_taken_back_ts(interactions)
            .filter(is_positive(), pl.col("item_id").is_in(list(ids.ids)))
            .sort("user_id", "event_ts", "item_id", "event_type")
        )
        user_ids = rows["user_id"].unique(maintain_order=True).to_list()
        item_idx = pl.Series("item_idx", ids.indices(rows["item_id"]))
        user_idx = pl.col("user_id").rle_id().cast(pl.Int32).alias("user_idx")  # one person's rows stand together
        type_code, value = type_codes().alias("event_type"), pl.col("value").cast(pl.Float32)
        return cls(tuple(user_ids), rows.select(user_idx, item_idx, "event_ts", TAKEN_BACK_TS, type_code, value))

    def all(self) -> Interactions:
        """Every event, and when it was taken back."""
        return _arrays_of(self.user_ids, self.rows, _epoch_seconds_or_stands(self.rows[TAKEN_BACK_TS]))

    def before(self, as_of: datetime) -> Interactions:
        """What happened strictly before a moment, without the purchases that were taken back by then."""
        stands = pl.col(TAKEN_BACK_TS).is_null() | (pl.col(TAKEN_BACK_TS) >= as_of)
        rows = self.rows.filter(pl.col("event_ts") < as_of, stands)
        user_ids = tuple(self.user_ids[user] for user in rows["user_idx"].unique(maintain_order=True))
        return _arrays_of(user_ids, rows.with_columns(pl.col("user_idx").rle_id().cast(pl.Int32)), None)


def _arrays_of(user_ids: tuple[UserId, ...], rows: pl.DataFrame, taken_back_ts: EpochSeconds | None) -> Interactions:
    user_idx = rows["user_idx"].to_numpy()
    return Interactions(
        user_ids,
        user_idx,
        rows["item_idx"].to_numpy(),
        rows["event_ts"].dt.epoch("s").to_numpy(),
        rows["event_type"].to_numpy(),
        np.array(rows["value"].to_numpy(), np.float32),
        np.searchsorted(user_idx, np.arange(len(user_ids) + 1)),
        taken_back_ts,
    )


def _epoch_seconds_or_stands(taken_back_ts: pl.Series) -> EpochSeconds | None:
    if taken_back_ts.null_count() == len(taken_back_ts):
        return None
    return taken_back_ts.dt.epoch("s").fill_null(NEVER_TAKEN_BACK).to_numpy()
