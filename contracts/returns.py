"""Which purchase a return takes back: one rule, for models, features and requests.

A return takes back the latest purchase of that item by that person that still stands and is not later than itself; of
several at that moment, the dearest. Where there is none, it takes nothing back. From its own time on, the purchase has
not happened. What comes later never changes what a return took back, so that the pairs of a whole log, as far as both
lie before a moment, are those that were known at that moment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.events import EventType

_PURCHASE, _RETURN = str(EventType.PURCHASE), str(EventType.RETURN)
TAKEN_BACK_TS = "taken_back_ts"
NEVER_TAKEN_BACK = np.iinfo(np.int64).max  # when a purchase was taken back that never was, in any unit

Integers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]


def taken_back_by(
    pairs: Integers, moments: Integers, is_return: Flags, values: npt.NDArray[np.floating[Any]] | None = None
) -> npt.NDArray[np.intp]:
    """For each of these purchases the position of the return that takes it back; -1 where it stands, and of returns.

    pairs: (n,) a number per person and item; moments: (n,) when each was; is_return: (n,) False of a purchase;
    values: (n,) what it cost, where that is known. In any order.

    >>> bought, taken_back = [False, False], [True]
    >>> taken_back_by(np.zeros(3, int), np.array([1, 2, 3]), np.array(bought + taken_back)).tolist()
    [-1, 2, -1]
    """
    # At one moment, what was bought comes before what goes back.
    order = np.lexsort((np.zeros(len(pairs)) if values is None else values, is_return, moments, pairs))
    returns = is_return[order]
    pair = np.cumsum(np.diff(pairs[order], prepend=pairs[order][:1]) != 0)
    level = _levels(pair, returns)
    # Purchases and returns nest like brackets: of a pair and level, the return that closes a purchase follows it.
    nested = np.lexsort((level, pair))
    purchase, follower = nested[:-1], nested[1:]
    closed = (pair[purchase] == pair[follower]) & (level[purchase] == level[follower])
    closed &= ~returns[purchase] & returns[follower]
    taken_back: npt.NDArray[np.intp] = np.full(len(pairs), -1)
    taken_back[order[purchase[closed]]] = order[follower[closed]]
    return taken_back


def _levels(pair: Integers, returns: Flags) -> Integers:
    """Of a purchase how many stand from it on, of a return how many stood before it; 1 where that was none.

    pair: (n,) 0, 1, ... in order; in each pair, events in the order of time.
    """
    steps = np.where(returns, -1, 1)
    balance = np.cumsum(steps)
    first = np.searchsorted(pair, pair)
    balance = balance - (balance - steps)[first]
    # A return that finds nothing leaves nothing owing. Each pair lies so far below the one before that a single running
    # minimum serves all of them.
    depth = pair.astype(np.int64) * (len(pair) + 1)
    owing = np.minimum.accumulate(np.minimum(balance, 0) - depth) + depth
    levels: Integers = balance - owing + returns
    return levels


def with_taken_back_ts(interactions: pl.DataFrame) -> pl.DataFrame:
    """The interactions with a column `taken_back_ts`: when a purchase was taken back; null where it was not."""
    taken_back = _taken_back(interactions)
    if taken_back.is_empty():
        return interactions.with_columns(pl.lit(None, interactions.schema["event_ts"]).alias(TAKEN_BACK_TS))
    at = pl.int_range(len(interactions), eager=True).alias("purchase_at").to_frame()
    return interactions.hstack(at.join(taken_back, "purchase_at", "left", maintain_order="left").select(TAKEN_BACK_TS))


def without_taken_back(interactions: pl.DataFrame) -> pl.DataFrame:
    """The interactions without the purchases that were taken back and the returns that did it; the rest in its order.

    Leave out what came later than a moment first, and the rest is as it was known then.

    >>> from datetime import UTC, datetime
    >>> day = lambda number: datetime(2024, 1, number, tzinfo=UTC)
    >>> bought = [("u", "mug", kind, day(at)) for at, kind in enumerate(("purchase", "purchase", "return"), start=1)]
    >>> events = pl.DataFrame(bought, schema=["user_id", "item_id", "event_type", "event_ts"], orient="row")
    >>> without_taken_back(events)["event_ts"].dt.day().to_list()
    [1]
    """
    taken_back = _taken_back(interactions)
    gone = pl.concat([taken_back["purchase_at"], taken_back["return_at"]])
    at = pl.int_range(len(interactions), eager=True)
    return interactions.filter(~at.is_in(gone.implode())) if len(gone) else interactions


def _taken_back(interactions: pl.DataFrame) -> pl.DataFrame:
    """purchase_at, return_at: the positions of what was taken back and of what did it; taken_back_ts: when."""
    # Most tables have no return, and pay for one look.
    is_return = interactions["event_type"] == _RETURN
    none = {"purchase_at": pl.Int64(), "return_at": pl.Int64(), TAKEN_BACK_TS: interactions.schema["event_ts"]}
    if not is_return.any():
        return pl.DataFrame(schema=none)
    at = pl.int_range(pl.len(), dtype=pl.Int64).alias("at")
    rows = interactions.select("user_id", "item_id", "event_type", "event_ts", at, value=_value(interactions))
    pairs = rows.filter(is_return).select("user_id", "item_id").unique().with_row_index("pair")
    # Sales by nobody known are sales by one person.
    concerned = rows.filter(pl.col("event_type").is_in([_PURCHASE, _RETURN]))
    sales = concerned.join(pairs, on=["user_id", "item_id"], nulls_equal=True, maintain_order="left")
    returned_at = taken_back_by(
        sales["pair"].to_numpy(),
        sales["event_ts"].to_physical().to_numpy(),
        (sales["event_type"] == _RETURN).to_numpy(),
        sales["value"].to_numpy(),
    )
    purchases, returns = sales[np.flatnonzero(returned_at >= 0)], sales[returned_at[returned_at >= 0]]
    return pl.DataFrame([purchases["at"], returns["at"], returns["event_ts"]], schema=none)


def _value(interactions: pl.DataFrame) -> pl.Expr:
    """What was paid, the least there is where that is not known."""
    value = pl.col("value").fill_nan(None) if "value" in interactions.columns else pl.lit(None, pl.Float64)
    return value.cast(pl.Float64).fill_null(float("-inf"))
