"""Which requests become golden: some for every tier and both surfaces, drawn from what the release knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import cycle, islice
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from contracts.errors import DataTooSmall
from contracts.filters import AllOf, Condition, Filter, Operator
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import Preferences, RecommendRequest, Surface
from feature_store.values.values import FeatureValues
from release.bundle.bundle import Release

GOLDEN_K: Final = 10
# Seconds before the request at which a visitor clicked.
CLICKED_BEFORE: Final = (95, 30)

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Click:
    """One event of a session; value: None where it has none."""

    item_id: ItemId
    event_ts: int
    value: float | None = None


@dataclass(frozen=True)
class GoldenRequest:
    """What a golden query asks: a request, and what happened in its session, oldest first."""

    request: RecommendRequest
    session: tuple[Click, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Request and session as a bundle has them."""
        return {"request": self.request.to_json(), "session": [asdict(click) for click in self.session]}


@dataclass(frozen=True)
class _RequestPool:
    """What requests are drawn from. people: with history enough for tier `personal`; items: that people touched."""

    people: Sequence[str]
    items: Sequence[str]
    categories: Sequence[str]
    contexts: Sequence[Mapping[str, str]]
    now: datetime
    rng: np.random.Generator

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.rng.integers(len(choices)))]

    def item(self) -> ItemId:
        return ItemId(self.one_of(self.items))


def draw_golden_requests(
    release: Release,
    values: FeatureValues,
    contexts: Sequence[Mapping[str, str]],
    now: datetime,
    n_requests: int,
    rng: np.random.Generator,
) -> list[GoldenRequest]:
    """n requests that take turns through the tiers and surfaces; a tier that nobody can be in is left out.

    contexts: what is known of newcomers, like age and gender; empty where nothing is.
    Raises DataTooSmall when nobody ever touched an item.
    """
    personal = values.histories.filter(pl.col("item_ids").list.len() >= release.request.personal_min_events)
    items = values.histories["item_ids"].explode(empty_as_null=False).unique().sort().to_list()
    if not items:
        raise DataTooSmall("No history holds an item: there is nothing to ask about.", "Bring more data.")
    pool = _RequestPool(personal["user_id"].to_list(), items, release.catalogue.category_names, contexts, now, rng)
    kinds = {name: kind for name, kind in _REQUEST_KINDS.items() if _can_be_drawn(name, pool)}
    turns = islice(cycle(kinds.items()), n_requests)
    return [_named_request(kind(pool), name, number) for number, (name, kind) in enumerate(turns)]


def _named_request(golden: GoldenRequest, name: str, number: int) -> GoldenRequest:
    """The request under a name and a seed of its own; every second one also asks for reasons."""
    request = replace(
        golden.request, request_id=f"golden-{number:03}-{name}", k=GOLDEN_K, seed=number, explain=number % 2 == 0
    )
    if golden.session:
        request = replace(request, session_id=SessionId(request.request_id))
    return replace(golden, request=request)


def _can_be_drawn(name: str, pool: _RequestPool) -> bool:
    if name.startswith("personal"):
        return bool(pool.people)
    return bool(pool.contexts) if name == "contextual" else True


def _personal_request(pool: _RequestPool) -> GoldenRequest:
    return GoldenRequest(RecommendRequest("", user_id=UserId(pool.one_of(pool.people))))


def _personal_request_in_session(pool: _RequestPool) -> GoldenRequest:
    return replace(_personal_request(pool), session=_session_clicks(pool))


def _session_request(pool: _RequestPool) -> GoldenRequest:
    return GoldenRequest(RecommendRequest(""), _session_clicks(pool))


def _onboarded_request(pool: _RequestPool) -> GoldenRequest:
    categories = (pool.one_of(pool.categories),) if pool.categories else ()
    return GoldenRequest(RecommendRequest("", preferences=Preferences(categories, (pool.item(),))))


def _contextual_request(pool: _RequestPool) -> GoldenRequest:
    return GoldenRequest(RecommendRequest("", context=dict(pool.one_of(pool.contexts))))


def _popular_request(pool: _RequestPool) -> GoldenRequest:  # noqa: ARG001 - a kind like the others; this one needs to know nothing
    return GoldenRequest(RecommendRequest(""))


def _session_clicks(pool: _RequestPool) -> tuple[Click, ...]:
    now = int(pool.now.timestamp())
    return tuple(Click(pool.item(), now - seconds) for seconds in CLICKED_BEFORE)


def _beside_an_item(kind: Callable[[_RequestPool], GoldenRequest]) -> Callable[[_RequestPool], GoldenRequest]:
    def beside_an_item(pool: _RequestPool) -> GoldenRequest:
        golden = kind(pool)
        request = replace(golden.request, surface=Surface.ITEM, item_id=pool.item())
        return replace(golden, request=request)

    return beside_an_item


def _filtered(kind: Callable[[_RequestPool], GoldenRequest]) -> Callable[[_RequestPool], GoldenRequest]:
    """A request for what is in stock and, where there are categories, of one of them."""

    def filtered(pool: _RequestPool) -> GoldenRequest:
        golden = kind(pool)
        wanted: Filter = Condition("in_stock", Operator.EQUALS, value=True)
        if pool.categories:
            wanted = AllOf((wanted, Condition("categories", Operator.EQUALS, pool.one_of(pool.categories))))
        return replace(golden, request=replace(golden.request, filter=wanted))

    return filtered


_REQUEST_KINDS: Final[Mapping[str, Callable[[_RequestPool], GoldenRequest]]] = {
    "personal": _personal_request,
    "session": _session_request,
    "onboarded": _onboarded_request,
    "contextual": _contextual_request,
    "popular": _popular_request,
    "personal-beside-item": _beside_an_item(_personal_request),
    "personal-in-session": _personal_request_in_session,
    "session-beside-item": _beside_an_item(_session_request),
    "popular-beside-item": _beside_an_item(_popular_request),
    "personal-filtered": _filtered(_personal_request),
    "popular-filtered": _filtered(_popular_request),
}
