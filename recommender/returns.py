"""Purchases that were taken back: what a model must not learn from once they were."""

from __future__ import annotations

import polars as pl

from contracts.events import EventType

_PURCHASE, _RETURN = str(EventType.PURCHASE), str(EventType.RETURN)


def without_taken_back(interactions: pl.DataFrame) -> pl.DataFrame:
    """The interactions without the purchases that a return among them takes back; every other row in its order.

    A return takes back the latest purchase of that item by that person that still stands, and is not later than
    itself; where there is none it takes nothing back. Leave out what came later than a moment first, and the rest is as
    it was known then.

    >>> from datetime import UTC, datetime
    >>> day = lambda number: datetime(2024, 1, number, tzinfo=UTC)
    >>> bought = [("u", "mug", kind, day(at)) for at, kind in enumerate(("purchase", "purchase", "return"), start=1)]
    >>> events = pl.DataFrame(bought, schema=["user_id", "item_id", "event_type", "event_ts"], orient="row")
    >>> without_taken_back(events)["event_ts"].dt.day().to_list()
    [1, 3]
    """
    if not interactions["event_type"].eq(_RETURN).any():
        return interactions
    rows = interactions.with_row_index("at")
    pairs = rows.filter(pl.col("event_type") == _RETURN).select("user_id", "item_id").unique()
    concerned = rows.join(pairs, on=["user_id", "item_id"], how="semi", nulls_equal=True)
    # At one moment, what was bought comes before what goes back.
    ordered = concerned.sort("event_ts", pl.col("event_type") == _RETURN, "at")
    standing: dict[tuple[str, str], list[int]] = {}
    taken_back: list[int] = []
    for at, user_id, item_id, event_type in ordered.select("at", "user_id", "item_id", "event_type").iter_rows():
        purchases = standing.setdefault((user_id, item_id), [])
        if event_type == _PURCHASE:
            purchases.append(at)
        elif event_type == _RETURN and purchases:
            taken_back.append(purchases.pop())
    return rows.filter(~pl.col("at").is_in(taken_back)).drop("at")
