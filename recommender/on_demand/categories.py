"""An item's categories against those that a person touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OnDemandInputs
from recommender.ragged import RaggedItems
from recommender.taste import ItemCategories, category_taste


def _affinity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    overall = category_taste(inputs.catalogue, inputs.queries, inputs.taste_items)
    latest = category_taste(inputs.catalogue, inputs.queries, inputs.latest_items)
    return {
        "pair_category_affinity_all": overall.affinity(inputs.candidate_categories),
        "pair_category_affinity_latest": latest.affinity(inputs.candidate_categories),
        "pair_category_lift_all": overall.lift(inputs.candidate_categories),
        "pair_category_lift_latest": latest.lift(inputs.candidate_categories),
    }


def _recency(inputs: OnDemandInputs) -> dict[str, npt.NDArray[np.float64]]:
    histories, n_categories = inputs.queries.histories, len(inputs.catalogue.category_names)
    known = (histories.item_idx >= 0) & (histories.item_idx < len(inputs.catalogue))
    events = RaggedItems.of_rows(histories.rows[known], histories.item_idx[known], len(inputs.queries))
    event_ts = histories.event_ts[known].astype(np.float64)
    touched_ts = ItemCategories.of(inputs.catalogue, events).latest_by_category(event_ts, n_categories)
    latest_ts = inputs.candidate_categories.largest(touched_ts)
    days = (inputs.queries.now[inputs.candidates.rows] - latest_ts) / SECONDS_PER_DAY
    return {"pair_category_recency_days_all": np.where(np.isinf(days), np.nan, days)}


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
