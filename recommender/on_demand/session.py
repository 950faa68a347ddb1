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
from recommender.on_demand.inputs import OnDemandInputs
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, max_by
from recommender.taste import ItemCategories

SESSION_GAP_S = 30 * 60  # as web analytics count sessions
WINDOW = f"back to the last pause longer than {SESSION_GAP_S // 60} minutes"


def _is_of_session(queries: QueryBatch) -> npt.NDArray[np.bool_]:
    """(n_events,) True for those events of the histories that come after the last long pause."""
    histories = queries.histories
    next_ts = np.append(histories.event_ts[1:], 0)
    some = histories.lengths > 0
    next_ts[histories.offsets[1:][some] - 1] = queries.now[some]  # the last event is followed by the request
    long = next_ts - histories.event_ts > SESSION_GAP_S
    last_long = max_by(histories.rows[long], np.flatnonzero(long).astype(np.float64), len(queries))
    return np.asarray(np.arange(len(histories.event_ts)) > last_long[histories.rows])


def _session_items(inputs: OnDemandInputs) -> RaggedItems:
    histories, chosen = inputs.queries.histories, _is_of_session(inputs.queries)
    items = RaggedItems.of_rows(histories.rows[chosen], histories.item_idx[chosen], len(inputs.queries))
    return inputs.catalogue.known_of(items)


def _session(inputs: OnDemandInputs) -> dict[str, npt.NDArray[np.number]]:
    histories, chosen, n_queries = inputs.queries.histories, _is_of_session(inputs.queries), len(inputs.queries)
    count = np.bincount(histories.rows[chosen], minlength=n_queries)
    first_ts = -max_by(histories.rows[chosen], -histories.event_ts[chosen].astype(np.float64), n_queries)
    categories = ItemCategories.of(inputs.catalogue, _session_items(inputs))
    seen = categories.by_category(len(inputs.catalogue.category_names)) > 0
    return {
        "session_event_count": count,
        "session_minutes_since_start": np.where(count, inputs.queries.now - first_ts, np.nan) / 60,
        "session_category_count": seen.sum(axis=1),
    }


def _session_affinity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    items, candidates = _session_items(inputs), inputs.candidate_categories
    touched = ItemCategories.of(inputs.catalogue, items)
    total = touched.by_category(len(inputs.catalogue.category_names))
    mean = np.where(items.lengths, 1 / np.maximum(items.lengths, 1), np.nan)[:, None] * total
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
