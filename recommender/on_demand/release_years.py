"""An item's year of release against now and against those that a person touched."""

from __future__ import annotations

from typing import Any

from contracts.calendar import DAYS_PER_YEAR, EPOCH, SECONDS_PER_DAY
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OWNER, OnDemandInputs
from recommender.taste import mean_release_year

SECONDS_PER_YEAR = DAYS_PER_YEAR * SECONDS_PER_DAY


def _years(inputs: OnDemandInputs) -> dict[str, Any]:
    catalogue = inputs.catalogue
    years = catalogue.release_year[inputs.candidates.item_idx]
    return {
        "pair_release_age_years": EPOCH.year + inputs.query.now / SECONDS_PER_YEAR - years,
        "pair_release_year_gap_all": years - mean_release_year(catalogue, inputs.taste_items),
        "pair_release_year_gap_latest": years - mean_release_year(catalogue, inputs.latest_items),
    }


VIEWS = (
    OnDemandView(
        name="pair_release_year",
        entity="user-item",
        window=f"all the history at hand; the latest {LATEST} items",
        owner=OWNER,
        description="How old an item is now, and how much newer than what the person touched.",
        features={
            "pair_release_age_years": "years since its release",
            "pair_release_year_gap_all": "its year less the mean of everything touched",
            "pair_release_year_gap_latest": "the same, of the latest items",
        },
        compute=_years,
    ),
)
