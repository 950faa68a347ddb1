"""Where an item's price stands, in the catalogue and against what a person looks at and buys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OnDemandInputs
from recommender.ragged import RaggedItems, mean_by

BOUGHT = "user_purchase_price_mean_365d"
N_BANDS = 3  # as many items in each: cheap, middling, dear


def _position(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    return {"item_price_position": inputs.catalogue.price_position[inputs.candidates.item_idx]}


def _gap(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    position, rows = inputs.catalogue.price_position, inputs.candidates.rows
    candidates = position[inputs.candidates.item_idx]
    return {
        "pair_price_gap_all": candidates - _mean_positions(position, inputs.taste_items)[rows],
        "pair_price_gap_latest": candidates - _mean_positions(position, inputs.latest_items)[rows],
    }


def _mean_positions(position: FloatArray, items: RaggedItems) -> FloatArray:
    return mean_by(items.rows, position[items.item_idx], len(items)).astype(np.float32)


def _band_match(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    every, latest = _band_shares(inputs, inputs.taste_items), _band_shares(inputs, inputs.latest_items)
    candidates, rows = _band(inputs.catalogue.price_position[inputs.candidates.item_idx]), inputs.candidates.rows
    # The shares of an item without a price stand last: nothing is known of its band.
    return {
        "pair_price_band_share_all": every[rows, candidates],
        "pair_price_band_share_latest": latest[rows, candidates],
    }


def _band_spread(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    shares = _band_shares(inputs, inputs.taste_items)
    return {"query_price_share_cheap_all": shares[:, 0], "query_price_share_dear_all": shares[:, N_BANDS - 1]}


def _band_shares(inputs: OnDemandInputs, items: RaggedItems) -> FloatArray:
    """(n_queries, N_BANDS + 1) the share of the priced items that is of each band, cheap ones first, and NaN."""
    band = _band(inputs.catalogue.price_position[items.item_idx])
    cells = items.rows * (N_BANDS + 1) + band
    counts = np.bincount(cells, minlength=len(items) * (N_BANDS + 1)).reshape(-1, N_BANDS + 1)[:, :N_BANDS]
    n_priced = counts.sum(axis=1, keepdims=True)
    shares = np.where(n_priced, counts / np.maximum(n_priced, 1), np.nan)
    return np.column_stack([shares, np.full(len(items), np.nan)]).astype(np.float32)


def _band(position: FloatArray) -> npt.NDArray[np.intp]:
    """The band of each position, 0 the cheapest; N_BANDS where there is none."""
    band = np.minimum(position * N_BANDS, N_BANDS - 1)
    return np.where(np.isnan(position), N_BANDS, band).astype(np.intp)


def _against_bought(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    price = inputs.catalogue.price[inputs.candidates.item_idx]
    bought = inputs.user_values(BOUGHT)[inputs.candidates.rows]
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
