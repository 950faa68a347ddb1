"""What is done in this session, and how an item fits it.

The session is taken from the history at hand, which ends with what was just done: it reaches back from the moment of
the request to the first pause longer than SESSION_GAP_S. A training snapshot therefore has sessions like a request: of
the people who had just done something.
"""

from __future__ import annotations

import numpy as np

from contracts.ids import ItemIdxArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import OWNER, OnDemandInputs
from recommender.query import RetrievalQuery

SESSION_GAP_S = 30 * 60  # as web analytics count sessions
WINDOW = f"back to the last pause longer than {SESSION_GAP_S // 60} minutes"


def _session_start(query: RetrievalQuery) -> int:
    """Where the session begins in the history; its length where there is none."""
    pauses = np.diff(query.history.event_ts, append=query.now)
    long = np.flatnonzero(pauses > SESSION_GAP_S)
    return int(long[-1]) + 1 if len(long) else 0


def _session_items(inputs: OnDemandInputs) -> ItemIdxArray:
    return inputs.catalogue.known(inputs.query.history.item_idx[_session_start(inputs.query) :])


def _session(inputs: OnDemandInputs) -> dict[str, float]:
    event_ts = inputs.query.history.event_ts[_session_start(inputs.query) :]
    categories = inputs.catalogue.categories[_session_items(inputs)] > 0
    return {
        "session_event_count": len(event_ts),
        "session_minutes_since_start": (inputs.query.now - int(event_ts[0])) / 60 if len(event_ts) else float("nan"),
        "session_category_count": int(categories.any(axis=0).sum()),
    }


def _session_affinity(inputs: OnDemandInputs) -> dict[str, object]:
    unit, items = inputs.catalogue.unit_categories, _session_items(inputs)
    if not len(items):
        return {"pair_category_affinity_session": float("nan")}
    return {"pair_category_affinity_session": unit[inputs.candidates.item_idx] @ unit[items].mean(axis=0)}


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
