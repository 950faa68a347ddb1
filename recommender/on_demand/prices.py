"""Where an item's price stands, in the catalogue and against what a person looks at and buys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OWNER, OnDemandInputs

BOUGHT = "user_purchase_price_mean_365d"
N_BANDS = 3  # as many items in each: cheap, middling, dear


def _position(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    return {"item_price_position": inputs.catalogue.price_position[inputs.candidates.item_idx]}


def _gap(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    position = inputs.catalogue.price_position
    candidates = position[inputs.candidates.item_idx]
    return {
        "pair_price_gap_all": candidates - _mean_position(position, inputs.taste_items),
        "pair_price_gap_latest": candidates - _mean_position(position, inputs.latest_items),
    }


def _mean_position(position: FloatArray, items: ItemIdxArray) -> float:
    priced = position[items]
    priced = priced[~np.isnan(priced)]
    return float(priced.mean()) if len(priced) else float("nan")


def _band_match(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    every, latest = _band_shares(inputs, inputs.taste_items), _band_shares(inputs, inputs.latest_items)
    candidates = _band(inputs.catalogue.price_position[inputs.candidates.item_idx])
    # The shares of an item without a price stand last: nothing is known of its band.
    return {"pair_price_band_share_all": every[candidates], "pair_price_band_share_latest": latest[candidates]}


def _band_spread(inputs: OnDemandInputs) -> dict[str, float]:
    shares = _band_shares(inputs, inputs.taste_items)
    return {"query_price_share_cheap_all": shares[0], "query_price_share_dear_all": shares[N_BANDS - 1]}


def _band_shares(inputs: OnDemandInputs, items: ItemIdxArray) -> FloatArray:
    """(N_BANDS + 1,) the share of the priced items that is of each band, cheap ones first, and NaN."""
    band = _band(inputs.catalogue.price_position[items])
    counts = np.bincount(band, minlength=N_BANDS + 1)[:N_BANDS]
    shares = counts / counts.sum() if counts.any() else np.full(N_BANDS, np.nan)
    return np.append(shares, np.nan).astype(np.float32)


def _band(position: FloatArray) -> npt.NDArray[np.intp]:
    """The band of each position, 0 the cheapest; N_BANDS where there is none."""
    band = np.minimum(position * N_BANDS, N_BANDS - 1)
    return np.where(np.isnan(position), N_BANDS, band).astype(np.intp)


def _against_bought(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    price, bought = inputs.catalogue.price[inputs.candidates.item_idx], inputs.user_value(BOUGHT)
    usable = (price > 0) & (bought > 0)
    return {"pair_price_log_ratio_bought": np.log(np.where(usable, price / bought, np.nan))}


VIEWS = (
    OnDemandView(
        name="item_price_position",
        entity="item",
        window="none: of the catalogue that the release was fitted with",
        owner=OWNER,
        description="The share of the other priced items that are cheaper; those that cost the same count half.",
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
        name="query_price_band",
        entity="user",
        window="all the history at hand",
        owner=OWNER,
        description="Whether a person looks among the cheap or among the dear: thirds of the catalogue, by price.",
        features={
            "query_price_share_cheap_all": "the share of the priced items touched that is of the cheapest third",
            "query_price_share_dear_all": "the share that is of the dearest third",
        },
        compute=_band_spread,
    ),
    OnDemandView(
        name="pair_price_band",
        entity="user-item",
        window=f"all the history at hand; the latest {LATEST} items",
        owner=OWNER,
        description="How much of what the person touched is of the item's third of the catalogue, by price.",
        features={
            "pair_price_band_share_all": "0 to 1; missing where the item, or everything touched, has no price",
            "pair_price_band_share_latest": "the same, of the latest items",
        },
        compute=_band_match,
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
