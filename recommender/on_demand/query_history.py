"""How much is known of whoever asks, by the history at hand."""

from __future__ import annotations

from contracts.calendar import SECONDS_PER_DAY
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import OWNER, OnDemandInputs
from recommender.query import RetrievalQuery


def _history(inputs: OnDemandInputs) -> dict[str, float]:
    return {
        "query_history_count": len(inputs.query.taste_items()),
        "query_days_since_event": _days_since_event(inputs.query),
    }


def _days_since_event(query: RetrievalQuery) -> float:
    if not len(query.history):
        return float("nan")
    return (query.now - int(query.history.event_ts[-1])) / SECONDS_PER_DAY


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
