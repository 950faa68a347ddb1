"""Answers that cost less, for when more is asked than is answered in time; each names in `degraded` what it lacks."""

from __future__ import annotations

import math
from dataclasses import replace

from contracts.clock import FixedClock
from contracts.filters import AllOf, Filter
from contracts.settings.diversity import DiversitySettings
from contracts.settings.placements import Placement
from contracts.settings.request import LEAST_RANKED
from contracts.slates import MOST_PREFERRED, RecommendRequest, Slate, Tier
from feature_store.readers.default_reader import DefaultFeatureReader
from release.answering.placing import most_items, place_of
from release.answering.request_path import answer
from release.bundle.bundle import Release

# What a lighter answer does without, as `Slate.degraded` names it.
CANDIDATES = "candidates"
PERSON = "person"

PORTION = 1 / 5  # of `request.n_ranked`
N_RANKED = "n_ranked"  # of `request`, and of what a placement has otherwise


def with_fewer_candidates(release: Release) -> Release:
    """The release, ranking a fifth of what it would, at every placement: the best placed of them.

    Never fewer than a release may be set to, or than a request asks for.
    """
    placements = {name: _with_fewer_candidates(one) for name, one in release.request.placements.items()}
    return release.with_rules(n_ranked=_portion(release.request.n_ranked), placements=placements)


def _with_fewer_candidates(placement: Placement) -> Placement:
    own = placement.request
    fewer = {**own, N_RANKED: _portion(own[N_RANKED])} if N_RANKED in own else own
    return placement.model_copy(update={"request": fewer})


def _portion(n_ranked: int) -> int:
    return max(LEAST_RANKED, math.ceil(PORTION * n_ranked))


def named_as_lighter(slate: Slate) -> Slate:
    """A slate of fewer candidates that says so; another policy than the one that looks at all of them."""
    degraded = (*slate.degraded, CANDIDATES)
    return replace(slate, policy_id=f"{slate.policy_id}+fewer-candidates", degraded=degraded)


def popular_slate(release: Release, generation_id: str, wanted: Filter | None = None) -> Slate:
    """What is popular, nothing being known of who asks: without exploration, and with the reasons.

    So long that as many as any request may ask for are left, whatever it names. wanted: what every item must satisfy.
    No rule of a placement holds but those that `wanted` says.
    """
    most = max(release.at(placement).request.max_k for placement in release.request.all_placements)
    length = min(most + MOST_PREFERRED + 1, len(release.catalogue))
    plain = release.with_rules(
        max_k=length, placements={}, exploration_share=0.0, relevance_weight=1.0, diversity=DiversitySettings()
    )
    reader = DefaultFeatureReader(generation_id, release.schemas)
    request = RecommendRequest("popular", k=length, explain=True, filter=wanted)
    return answer(plain, reader, FixedClock(release.as_of), request)


def popular_filter(release: Release, request: RecommendRequest) -> Filter | None:
    """What every item must satisfy where nothing is known of who asks: what the request says, its placement, and of
    its rules those that block; None for no condition.
    """
    filters = place_of(release, request).filters_of(_blocks(release, request), request.filter)
    return AllOf(tuple(filters)) if len(filters) > 1 else next(iter(filters), None)


def _blocks(release: Release, request: RecommendRequest) -> tuple[str, ...]:
    """The rules that hold where nothing is known of who asks, and that say what is not shown."""
    place = place_of(release, request)
    return place.blocks_of(place.holding(Tier.POPULAR, request.context, request.without_rules))


def popular_for(release: Release, popular: Slate, request: RecommendRequest) -> Slate:
    """The head of that slate for one request, without the item it looks at and those it says it likes.

    What the person did is not looked at: they may have seen all of it.
    """
    named = {request.item_id, *request.preferences.item_ids}
    left = [item for item in popular.items if item.item_id not in named][: min(request.k, most_items(release, request))]
    items = [
        replace(item, position=position, reasons=item.reasons if request.explain else ())
        for position, item in enumerate(left, start=1)
    ]
    return replace(
        popular,
        request_id=request.request_id,
        placement=place_of(release, request).name,
        rules=_blocks(release, request),
        policy_id="popular",
        degraded=(PERSON,),
        items=tuple(items),
        timings_ms={},
    )
