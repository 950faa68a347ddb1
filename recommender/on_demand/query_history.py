"""How much is known of whoever asks, by the history at hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.features import OWNER
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import OnDemandInputs


def _history(inputs: OnDemandInputs) -> dict[str, npt.NDArray[np.number]]:
    queries = inputs.queries
    return {
        "query_history_count": queries.taste_items.lengths,
        "query_days_since_event": (queries.now - queries.histories.last_ts) / SECONDS_PER_DAY,
    }


VIEWS = (
    OnDemandView(
        name="query_history",
        entity="user",
        window="the history and the session at hand",
        owner=OWNER,
        description="How much is known of whoever asks, the session's last click included.",
        features={
            "query_history_count": "distinct items that speak for what is wanted",
            "query_days_since_event": "days since the last event",
        },
        compute=_history,
    ),
)
