"""An item's categories against those that a person touched."""

from __future__ import annotations

import numpy as np

from contracts.calendar import SECONDS_PER_DAY
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OWNER, OnDemandInputs
from recommender.taste import category_taste


def _affinity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    unit_categories = inputs.catalogue.unit_categories[inputs.candidates.item_idx]
    overall = category_taste(inputs.catalogue, inputs.query)
    latest = category_taste(inputs.catalogue, inputs.query, LATEST)
    return {
        "pair_category_affinity_all": overall.affinity(unit_categories),
        "pair_category_affinity_latest": latest.affinity(unit_categories),
        "pair_category_lift_all": overall.lift(unit_categories),
        "pair_category_lift_latest": latest.lift(unit_categories),
    }


def _recency(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    history, catalogue = inputs.query.history, inputs.catalogue
    known = (history.item_idx >= 0) & (history.item_idx < len(catalogue))
    touched = catalogue.categories[history.item_idx[known]] > 0
    touched_ts = np.where(touched, history.event_ts[known][:, None], -np.inf).max(axis=0, initial=-np.inf)
    of_item = catalogue.categories[inputs.candidates.item_idx] > 0
    latest_ts = np.where(of_item, touched_ts, -np.inf).max(axis=1, initial=-np.inf)
    days = (inputs.query.now - latest_ts) / SECONDS_PER_DAY
    return {"pair_category_recency_days_all": np.where(np.isinf(days), np.nan, days).astype(np.float32)}


VIEWS = (
    OnDemandView(
        name="pair_category_affinity",
        entity="user-item",
        window=f"all the history at hand; the latest {LATEST} items",
        owner=OWNER,
        description=(
            "How much an item is of the categories that the person wants, in shares of their taste, and relative to "
            "the catalogue (1: wanted as much as it is common)."
        ),
        features={
            "pair_category_affinity_all": "the person's share of the item's categories",
            "pair_category_affinity_latest": "the same, of the latest items",
            "pair_category_lift_all": "that share over the catalogue's",
            "pair_category_lift_latest": "the same, of the latest items",
        },
        compute=_affinity,
    ),
    OnDemandView(
        name="pair_category_recency",
        entity="user-item",
        window="all the history at hand",
        owner=OWNER,
        description="How long ago the person last touched anything of one of the item's categories.",
        features={"pair_category_recency_days_all": "days since then; missing where they never did"},
        compute=_recency,
    ),
)
