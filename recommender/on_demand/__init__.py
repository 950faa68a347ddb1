"""The on-demand features, which are computed at the request, a module for each family.

The order of `_FAMILIES` is the order of the features in the ranker's input. A module that is not named there computes
nothing.

Names are `<entity>_<fact>_<aggregate>_<window>`; `pair` is a person and an item, `query` whoever asks, as far as the
request and the history tell; `latest` are the LATEST events, `all` the whole history at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand import categories, content, context, prices, query_history, release_years, retrieval, session
from recommender.on_demand.inputs import OnDemandInputs

_FAMILIES = (query_history, categories, content, context, prices, release_years, retrieval, session)
VIEWS: tuple[OnDemandView, ...] = tuple(view for family in _FAMILIES for view in family.VIEWS)
NAMES = tuple(name for view in VIEWS for name in view.features)
_DECLARED = frozenset(NAMES)


def on_demand_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are on-demand features, in their order."""
    return tuple(name for name in names if name in _DECLARED)


def compute(inputs: OnDemandInputs, names: tuple[str, ...]) -> FloatArray:
    """(n_candidates, n_names) float32, columns as `names`; only the views that give one of them are computed."""
    values = np.empty((len(inputs.candidates), len(names)), np.float32)
    for view, columns in _plan(names):
        computed = view.compute(inputs)
        for column, name in columns:
            values[:, column] = computed[name][inputs.candidates.rows] if view.is_of_query else computed[name]
    return values


@lru_cache(maxsize=64)  # as many releases as one server ever answers with, and more
def _plan(names: tuple[str, ...]) -> list[tuple[OnDemandView, list[tuple[int, str]]]]:
    """The views to compute, each with the columns that it fills."""
    numbered = list(enumerate(names))
    columns = ((view, [(column, name) for column, name in numbered if name in view.features]) for view in VIEWS)
    return [(view, filled) for view, filled in columns if filled]
