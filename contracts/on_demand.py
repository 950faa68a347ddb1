"""How an on-demand feature is declared: computed at the request, from what is known then. `recommender` holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_OF_QUERY = frozenset({"user", "session", "context"})


@dataclass(frozen=True)
class OnDemandView:
    """Features that one function computes, in training and in serving, for all candidates of many requests at once.

    entity: what the features describe: "user", "session", "context"; "item", "user-item", "context-item".
    owner: whom to ask. window: how far back they look, in words. features: what each one says, by name.
    compute: from `recommender.on_demand.inputs.OnDemandInputs` to an array per feature: for the first three entities
    (n_queries,) a value for each request, for the others (n_candidates,) one for each candidate. NaN where it is not
    known stays missing: the ranker learns what to make of it. A value hangs on its own request alone.

    >>> view = OnDemandView(
    ...     name="hour",
    ...     entity="context",
    ...     window="the moment of the request",
    ...     owner="search team",
    ...     description="When somebody asks.",
    ...     features={"context_hour": "the hour of the day, UTC"},
    ...     compute=lambda inputs: {"context_hour": inputs.queries.now // 3600 % 24},
    ... )
    >>> list(view.features), view.is_of_query
    (['context_hour'], True)
    """

    name: str
    entity: str
    window: str
    owner: str
    description: str
    features: Mapping[str, str]
    compute: Callable[[Any], Mapping[str, Any]]

    @property
    def is_of_query(self) -> bool:
        """Whether the features are the same for all candidates of a request."""
        return self.entity in _OF_QUERY
