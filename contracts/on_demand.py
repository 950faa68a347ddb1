"""How an on-demand feature is declared: computed at the request, from what is known then. `recommender` holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OnDemandView:
    """Features that one function computes, in training and in serving, for all candidates of a request at once.

    entity: what the features describe: "user", "item", "user-item", "session", "context". owner: whom to ask.
    window: how far back they look, in words. features: what each one says, by name.
    compute: from `recommender.on_demand.inputs.OnDemandInputs` to a value per feature, or a column of them aligned with
    the candidates; NaN where it is not known, which stays missing: the ranker learns what to make of it.

    >>> view = OnDemandView(
    ...     name="hour",
    ...     entity="context",
    ...     window="the moment of the request",
    ...     owner="search team",
    ...     description="When somebody asks.",
    ...     features={"context_hour": "the hour of the day, UTC"},
    ...     compute=lambda inputs: {"context_hour": inputs.now // 3600 % 24},
    ... )
    >>> list(view.features)
    ['context_hour']
    """

    name: str
    entity: str
    window: str
    owner: str
    description: str
    features: Mapping[str, str]
    compute: Callable[[Any], Mapping[str, Any]]
