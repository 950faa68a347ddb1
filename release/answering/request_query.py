"""From a request to what is known of who asks, and to what the generators are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from contracts.errors import UnknownId
from contracts.features import FeatureReader, History, Person, Visitor
from contracts.id_map import UNKNOWN
from contracts.slates import RecommendRequest, Surface
from feature_store.readers.live_features import whole_history, with_live_features
from recommender.exclusion import ExclusionRule
from recommender.query import RetrievalQuery
from recommender.segments import published_segments, segment_of, told_or_published
from release.bundle.bundle import Release


def read_person(release: Release, reader: FeatureReader, request: RecommendRequest, now: datetime) -> Person:
    """Who asks, as known at this moment: the published row with its live features as of now. Raises as the reader."""
    return read_people(release, reader, [request], now)[0]


def read_people(
    release: Release, reader: FeatureReader, requests: Sequence[RecommendRequest], now: datetime
) -> list[Person]:
    """Who asks each request, read together. Raises as the reader; then nobody is read."""
    people = reader.read_people([Visitor(request.user_id, request.session_id) for request in requests], now)
    return [with_live_features(person, release.schemas.user, now) for person in people]


def retrieval_query(release: Release, request: RecommendRequest, person: Person, now: datetime) -> RetrievalQuery:
    """What the generators are asked: everything known of the person and the moment, in the release's dense ids.

    Nothing is proposed that the person has touched as the release's rule of exclusion says, however long ago, has named
    as a preference, or is looking at.
    Raises UnknownId on an item's page when the release does not know the item.
    """
    catalogue = release.catalogue
    asked_at = int(now.timestamp())
    done = whole_history(person)
    history = _not_after(done.standing, asked_at)
    rules = release.request
    excluding = ExclusionRule.of(rules.excluding_events, rules.excluded_days)
    touched = excluding.items(_not_after(done.touched, asked_at), person.older, asked_at)
    preferred = catalogue.known(catalogue.ids.indices(request.preferences.item_ids))
    anchor = _anchor(release, request)
    looked_at = np.array([] if anchor is None else [anchor], np.int32)
    return RetrievalQuery(
        now=asked_at,
        history=history,
        segment=_segment(release, request, person),
        anchor=anchor,
        preferred_categories=catalogue.category_vector(request.preferences.categories),
        preferred_items=preferred,
        excluded=np.unique(np.concatenate([touched, preferred, looked_at])),
    )


def _segment(release: Release, request: RecommendRequest, person: Person) -> dict[str, str]:
    """What the request tells, and where the release's rules say so, what is published of the person beside it."""
    told = segment_of(request.context)
    if not release.request.segments_of_people:
        return told
    (published,) = published_segments(release.schemas.user, person.features)
    return told_or_published(told, published)


def _not_after(history: History, now: int) -> History:
    """What is stamped later has happened all the same: clocks of workers and clients differ."""
    return replace(history, event_ts=np.minimum(history.event_ts, now))


def _anchor(release: Release, request: RecommendRequest) -> int | None:
    if request.surface is not Surface.ITEM:
        return None
    item_idx = UNKNOWN if request.item_id is None else release.catalogue.ids.index(request.item_id)
    if item_idx == UNKNOWN:
        raise UnknownId(
            f"Release {release.release_id} knows no item {request.item_id!r}.",
            f"On surface `item`, name one of its {len(release.catalogue)} items as item_id.",
        )
    return item_idx
