"""Shadow: recent requests answered by the release in production and by a release candidate, and how the answers differ.

Both answer through the one request path, from the online store, at the same moment, with exploration off. Nothing is
logged as shown, and nothing that is served changes but that the release candidate's values are published.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, UnknownId, WrongInput
from contracts.features import FeatureReader, History
from contracts.progress import Progress
from contracts.slates import RecommendRequest, Slate
from feature_store.online.connection import Client
from feature_store.online.event_stream import latest_records
from feature_store.online.keys import requests_key
from feature_store.readers.online_reader import RedisFeatureReader
from recommender.slates.slate_similarity import kendall_tau, overlap, rank_biased_overlap
from release.answering.request_path import answer
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release

N_SHOWN = 5  # requests shown with both slates: enough to see what kind of difference it is
N_WARM_UP = 10  # requests answered before the clock runs: the first touch memory that later ones find warm
LATENCIES = (50, 95, 99)


@dataclass(frozen=True)
class ReplayedRequest:
    """A request, and what happened in its session where that is not in the store."""

    request: RecommendRequest
    session: History | None = None


@dataclass(frozen=True)
class Side:
    """A release that answers, from one generation's values."""

    release: Release
    reader: FeatureReader

    @classmethod
    def online(cls, client: Client, app: str, release: Release, generation_id: str) -> Side:
        """One that reads from the online store, and explores nothing."""
        settings = release.request.model_copy(update={"exploration_share": 0.0})
        reader = RedisFeatureReader(client, app, generation_id, release.schemas, release.catalogue.ids)
        return cls(replace(release, request=settings), reader)

    def answer(self, replayed: ReplayedRequest, now: datetime) -> tuple[Slate | None, float]:
        """The slate and the milliseconds it took; no slate where the release does not know the request's item, or
        cannot apply its filter."""
        reader, session_id = self.reader, replayed.request.session_id
        if replayed.session is not None and session_id is not None:
            reader = SessionReader(reader, {session_id: replayed.session})
        started = time.perf_counter()
        try:
            slate = answer(self.release, reader, FixedClock(now), replayed.request)
        except (UnknownId, WrongInput):
            return None, 0.0
        return slate, 1000 * (time.perf_counter() - started)


@dataclass(frozen=True)
class SlatePair:
    """One request answered twice. ms: how long each took, production first."""

    request: RecommendRequest
    production: Slate
    candidate: Slate
    ms: tuple[float, float]

    @property
    def items(self) -> tuple[list[str], list[str]]:
        return [item.item_id for item in self.production.items], [item.item_id for item in self.candidate.items]

    @property
    def rank_biased_overlap(self) -> float:
        return rank_biased_overlap(*self.items)


@dataclass(frozen=True)
class ShadowReport:
    """What the pairs say. n_unanswerable: requests about an item, or with a filter, that one of the two does
    not know."""

    pairs: tuple[SlatePair, ...]
    n_unanswerable: int

    def to_json(self) -> dict[str, Any]:
        tiers = sorted({str(pair.production.tier) for pair in self.pairs})
        by_tier = {tier: [pair for pair in self.pairs if pair.production.tier == tier] for tier in tiers}
        return {
            "requests": len(self.pairs),
            "unanswerable": self.n_unanswerable,
            "all": _similarity(self.pairs),
            "tiers": {tier: {"requests": len(pairs), **_similarity(pairs)} for tier, pairs in by_tier.items()},
            "production": self._side(0),
            "candidate": self._side(1),
            "most_different": [_pair_fields(pair) for pair in self.most_different()],
        }

    def most_different(self) -> list[SlatePair]:
        """The pairs that are least alike, worst first."""
        differing = (pair for pair in self.pairs if pair.rank_biased_overlap < 1)
        return sorted(differing, key=lambda pair: pair.rank_biased_overlap)[:N_SHOWN]

    def _side(self, at: int) -> dict[str, Any]:
        slates = [(pair.production, pair.candidate)[at] for pair in self.pairs]
        if not slates:
            return {}
        times = np.percentile([pair.ms[at] for pair in self.pairs], LATENCIES)
        return {
            "release_id": slates[0].release_id,
            "generation_id": slates[0].generation_id,
            "degraded": sum(bool(slate.degraded) for slate in slates),
            **{f"p{q}_ms": round(float(ms), 3) for q, ms in zip(LATENCIES, times, strict=True)},
        }


def replay(production: Side, candidate: Side, requests: Sequence[ReplayedRequest], now: datetime) -> ShadowReport:
    """Answer every request by both, in turn and the other one first each time, so that neither finds things warmer."""
    for replayed in requests[:N_WARM_UP]:
        production.answer(replayed, now)
        candidate.answer(replayed, now)
    pairs = []
    for number, replayed in enumerate(Progress(requests, desc="shadow", unit="request")):
        sides = (production, candidate) if number % 2 else (candidate, production)
        answered = {id(side): side.answer(replayed, now) for side in sides}
        (ours, our_ms), (theirs, their_ms) = answered[id(production)], answered[id(candidate)]
        if ours is not None and theirs is not None:
            pairs.append(SlatePair(replayed.request, ours, theirs, (our_ms, their_ms)))
    return ShadowReport(tuple(pairs), len(requests) - len(pairs))


def recent_requests(client: Client, app: str, n_requests: int) -> list[ReplayedRequest]:
    """What servers were asked last, oldest first. Raises ArtefactError naming a record that is none of ours."""
    return [
        ReplayedRequest(_logged_request(record)) for record in latest_records(client, requests_key(app), n_requests)
    ]


def _logged_request(record: bytes) -> RecommendRequest:
    try:
        return RecommendRequest.from_json(json.loads(record)["request"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"The request log holds {record[:200]!r}, which is no request of this Slatework: {error!r}.",
            "Servers of another version wrote it: remove the log with `redis-cli del`, and let it fill again.",
        ) from error


def _similarity(pairs: Iterable[SlatePair]) -> dict[str, float | None]:
    both = [pair.items for pair in pairs]
    taus = [tau for tau in (kendall_tau(*items) for items in both) if tau is not None]
    return {
        "overlap": _mean([overlap(*items) for items in both]),
        "rank_biased_overlap": _mean([rank_biased_overlap(*items) for items in both]),
        "kendall_tau": _mean(taus),
        "identical_share": _mean([float(ours == theirs) for ours, theirs in both]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 6) if values else None


def _pair_fields(pair: SlatePair) -> dict[str, Any]:
    request = pair.request
    return {
        "request_id": request.request_id,
        "user_id": request.user_id,
        "session_id": request.session_id,
        "surface": str(request.surface),
        "item_id": request.item_id,
        "tier": str(pair.production.tier),
        "rank_biased_overlap": round(pair.rank_biased_overlap, 6),
        "production": [{"item_id": item.item_id, "title": item.title} for item in pair.production.items],
        "candidate": [{"item_id": item.item_id, "title": item.title} for item in pair.candidate.items],
    }
