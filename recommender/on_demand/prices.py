"""Where an item's price stands, in the catalogue and against what a person looks at and buys."""

from __future__ import annotations

import numpy as np

from contracts.ids import FloatArray, ItemIdxArray
from contracts.on_demand import OnDemandView
from recommender.asked import LATEST, OWNER, Asked

BOUGHT = "user_purchase_price_mean_365d"


def _position(asked: Asked) -> dict[str, FloatArray]:
    return {"item_price_position": asked.catalogue.price_position[asked.candidates.item_idx]}


def _gap(asked: Asked) -> dict[str, FloatArray]:
    position = asked.catalogue.price_position
    candidates = position[asked.candidates.item_idx]
    return {
        "pair_price_gap_all": candidates - _mean(position, asked.items),
        "pair_price_gap_latest": candidates - _mean(position, asked.latest_items),
    }


def _mean(position: FloatArray, items: ItemIdxArray) -> float:
    told = position[items]
    told = told[~np.isnan(told)]
    return float(told.mean()) if len(told) else float("nan")


def _against_bought(asked: Asked) -> dict[str, FloatArray]:
    price, bought = asked.catalogue.price[asked.candidates.item_idx], asked.user_value(BOUGHT)
    usable = (price > 0) & (bought > 0)
    return {"pair_price_log_ratio_bought": np.log(np.where(usable, price / bought, np.nan))}


VIEWS = (
    OnDemandView(
        name="item_price_position",
        entity="item",
        window="none: of the catalogue that the release was fitted with",
        owner=OWNER,
        description="The share of the catalogue that is cheaper than the item: 0 the cheapest, 1 the dearest.",
        features={"item_price_position": "0 to 1; missing without a price"},
        compute=_position,
    ),
    OnDemandView(
        name="pair_price_gap",
        entity="user-item",
        window=f"all the history at hand; the latest {LATEST} items",
        owner=OWNER,
        description="How much dearer an item is than what the person touched, in positions within the catalogue.",
        features={
            "pair_price_gap_all": "the item's position less the mean of everything touched",
            "pair_price_gap_latest": "the same, of the latest items",
        },
        compute=_gap,
    ),
    OnDemandView(
        name="pair_price_bought",
        entity="user-item",
        window=f"as {BOUGHT}",
        owner=OWNER,
        description="How much dearer an item is than what the person bought.",
        features={"pair_price_log_ratio_bought": f"log of the item's price over {BOUGHT}"},
        compute=_against_bought,
    ),
)
