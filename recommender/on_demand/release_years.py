"""An item's year of release against now and against those that a person touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.calendar import DAYS_PER_YEAR, EPOCH, SECONDS_PER_DAY
from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import LATEST, OnDemandInputs
from recommender.ragged import RaggedItems, mean_by

SECONDS_PER_YEAR = DAYS_PER_YEAR * SECONDS_PER_DAY


def _years(inputs: OnDemandInputs) -> dict[str, FloatArray | npt.NDArray[np.float64]]:
    years, rows = inputs.catalogue.release_year[inputs.candidates.item_idx], inputs.candidates.rows
    return {
        "pair_release_age_years": EPOCH.year + inputs.queries.now[rows] / SECONDS_PER_YEAR - years,
        "pair_release_year_gap_all": years - _mean_years(inputs, inputs.taste_items)[rows],
        "pair_release_year_gap_latest": years - _mean_years(inputs, inputs.latest_items)[rows],
    }


def _mean_years(inputs: OnDemandInputs, items: RaggedItems) -> npt.NDArray[np.float64]:
    """(n_queries,) of those items whose year is known; NaN where there is none."""
    return mean_by(items.rows, inputs.catalogue.release_year[items.item_idx], len(items))


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
