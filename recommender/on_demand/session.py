"""What is done in this session, and how an item fits it.

The session is taken from the history at hand, which ends with what was just done: it reaches back from the moment of
the request to the first pause longer than SESSION_GAP_S. A training snapshot therefore has sessions like a request: of
the people who had just done something.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import SESSION_GAP_S, OnDemandInputs
from recommender.ragged import max_by

WINDOW = f"back to the last pause longer than {SESSION_GAP_S // 60} minutes"


def _session(inputs: OnDemandInputs) -> dict[str, npt.NDArray[np.number]]:
    histories, chosen, n_queries = inputs.queries.histories, inputs.is_of_session, len(inputs.queries)
    rows = histories.rows[chosen]
    count = np.bincount(rows, minlength=n_queries)
    first_ts = -max_by(rows, -histories.event_ts[chosen].astype(np.float64), n_queries)
    return {
        "session_event_count": count,
        "session_minutes_since_start": np.where(count, inputs.queries.now - first_ts, np.nan) / 60,
        "session_category_count": (inputs.session_categories > 0).sum(axis=1),
    }


def _session_affinity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    items, candidates = inputs.session_items, inputs.candidate_categories
    mean = np.where(items.lengths, 1 / np.maximum(items.lengths, 1), np.nan)[:, None] * inputs.session_categories
    affinity = candidates.inner_product(mean)
    nothing_done = items.lengths[inputs.candidates.rows] == 0
    return {"pair_category_affinity_session": np.where(nothing_done, np.nan, affinity).astype(np.float32)}


VIEWS = (
    OnDemandView(
        name="session",
        entity="session",
        window=WINDOW,
        owner=OWNER,
        description="How long somebody has been here, and how much and how widely they looked at.",
        features={
            "session_event_count": "events; 0 where nothing was done just now",
            "session_minutes_since_start": "minutes since the first of them; missing where there is none",
            "session_category_count": "categories of the items touched",
        },
        compute=_session,
    ),
    OnDemandView(
        name="pair_session",
        entity="user-item",
        window=WINDOW,
        owner=OWNER,
        description="How much an item is of the categories of the items of this session.",
        features={
            "pair_category_affinity_session": "cosine with their mean, up to its length; missing where there is none"
        },
        compute=_session_affinity,
    ),
)
