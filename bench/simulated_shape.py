"""The shape of a simulated world beside what is published of real shops and newspapers.

A band says how far ours may lie from the real ones before the simulator counts as wrong: as wide as these differ among
themselves and with size, no wider. docs/simulator.md cites the sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.events import EventType
from sources.simulator.world import SimulatedDay
from sources.simulator.world_spec import WorldKind

OPENS: Final = (str(EventType.CLICK), str(EventType.VIEW))
RETAILROCKET: Final = "RetailRocket"
OTTO: Final = "OTTO"


@dataclass(frozen=True)
class Published:
    """A figure of real data, and the band that ours must lie in."""

    says: str
    low: float
    high: float


PUBLISHED: Final[Mapping[WorldKind, Mapping[str, Published]]] = {
    WorldKind.SHOP: {
        "carts_per_open": Published(f"{RETAILROCKET} 69,332 / 2,664,312 = 0.026; {OTTO} 0.087", 0.02, 0.10),
        "purchases_per_cart": Published(f"{RETAILROCKET} 22,457 / 69,332 = 0.324; {OTTO} 0.302", 0.25, 0.37),
        "events_per_visitor": Published(f"{RETAILROCKET} 2,756,101 / 1,407,580 = 1.96", 1.5, 6.0),
        "long_session_mean": Published(f"{OTTO} 8.29, Diginetica 4.55, {RETAILROCKET} 9.33", 4.0, 10.0),
        "long_session_median": Published(f"{OTTO} 4", 3.0, 5.0),
        "long_session_p90": Published(f"{OTTO} 18", 8.0, 20.0),
        "returning_visitors": Published("Google Analytics export 92,243 / 701,623 = 0.131", 0.10, 0.40),
        "item_gini": Published(
            "Amazon (24 sets, people and items of 5 events) 0.38 to 0.74; Yahoo! R1 0.95", 0.55, 0.95
        ),
        "top_28_percent": Published("a retailer's Internet channel 0.72, its catalogue more", 0.70, 0.95),
    },
    WorldKind.ARTICLES: {
        "returning_visitors": Published("Google Analytics export 92,243 / 701,623 = 0.131 (a shop)", 0.10, 0.60),
        "item_gini": Published("Epinions 0.57, GoodReads comics 0.76, Yahoo! R1 0.95", 0.55, 0.95),
        "top_28_percent": Published("a retailer's Internet channel 0.72", 0.70, 0.95),
    },
}


def shape_of(days: Iterable[SimulatedDay], n_items: int) -> dict[str, float]:
    """What is compared, and a few figures more. Sessions and visitors: with an event; long: of two events or more."""
    days = list(days)
    interactions = pl.concat([day.interactions for day in days])
    n_shown = sum(day.impressions.height for day in days)
    n_of = {name: int(count) for name, count in interactions["event_type"].value_counts().iter_rows()}
    opened = interactions.filter(pl.col("event_type").is_in(OPENS))
    counts = np.zeros(n_items)
    per_item = np.sort(opened["item_id"].value_counts()["count"].to_numpy())
    counts[n_items - len(per_item) :] = per_item
    visits = interactions.drop_nulls("session_id")
    lengths = visits.group_by("session_id").len()["len"].to_numpy()
    long = lengths[lengths > 1]
    visitors = visits.group_by("user_id").agg(n_visits=pl.col("session_id").n_unique())
    carts = n_of.get(str(EventType.ADD_TO_CART), 0)
    return {
        "clicks_per_impression": n_of.get(str(EventType.CLICK), 0) / n_shown,
        "carts_per_open": carts / opened.height,
        "purchases_per_cart": n_of.get(str(EventType.PURCHASE), 0) / max(carts, 1),
        "events_per_visitor": interactions.height / visitors.height,
        "session_mean": float(lengths.mean()),
        "long_session_mean": float(long.mean()),
        "long_session_median": float(np.median(long)),
        "long_session_p90": float(np.quantile(long, 0.9)),
        "longest_session": float(lengths.max()),
        "returning_visitors": float((visitors["n_visits"] > 1).to_numpy().mean()),
        "item_gini": _gini(counts),
        "top_1_percent": _share_of_top(counts, 0.01),
        "top_10_percent": _share_of_top(counts, 0.10),
        "top_28_percent": _share_of_top(counts, 0.28),
    }


def outside(kind: WorldKind, shape: Mapping[str, float]) -> list[str]:
    """The figures that lie outside their band."""
    return [name for name, known in PUBLISHED[kind].items() if not known.low <= shape[name] <= known.high]


def _share_of_top(ascending: npt.NDArray[np.float64], share: float) -> float:
    n_top = max(round(share * len(ascending)), 1)
    return float(ascending[-n_top:].sum() / ascending.sum())


def _gini(ascending: npt.NDArray[np.float64]) -> float:
    """0 where all items are opened alike, towards 1 where one has it all."""
    n = len(ascending)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * ascending.sum()))
