"""The request path: a release, a feature reader and a clock make a slate.

    read the person -> identify the tier -> rules -> retrieve -> features -> rank -> diversify -> explore -> explain

This is the one code that evaluation, golden answers, batch, the MLflow pyfunc and the server call. It degrades rather
than fails, and says so: features that cannot be read become defaults (and without history the tier falls to what the
request tells), a retrieval that fails becomes popularity, a ranker that fails leaves the order of retrieval.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.clock import Clock
from contracts.errors import PublishIncomplete, StoreError
from contracts.features import FeatureReader, FeatureRows, Person
from contracts.fingerprint import fingerprint_json
from contracts.ids import FloatArray, ItemIdxArray
from contracts.slates import RecommendRequest, Slate, SlateItem, Tier
from feature_store.readers.default_reader import DefaultFeatureReader
from recommender.candidates import CandidateSet, gather
from recommender.query import RetrievalQuery
from recommender.ranking.ranking_features import assemble
from recommender.slates.diversity import maximal_marginal_relevance
from recommender.slates.explanation import reasons
from recommender.slates.exploration import explore
from release.answering.request_query import read_person, retrieval_query
from release.answering.tiers import (
    Scorer,
    TierPlan,
    fuse_by_rank,
    identify_tier,
    plan_for,
    plan_generators,
    plan_quotas,
)
from release.answering.trace import Trace
from release.bundle.bundle import Release

LOG = logging.getLogger(__name__)

# What an answer can have to do without, as `Slate.degraded` names it.
FEATURES = "features"
RETRIEVAL = "retrieval"
RANKER = "ranker"

# What is left to propose when retrieval fails: it looks at nothing but its own counts.
LAST_RESORT = "popular"

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _PreparedRequest:
    """One request with everything that was made out of it before candidates are asked for."""

    release: Release
    reader: FeatureReader
    request: RecommendRequest
    now: datetime
    person: Person
    query: RetrievalQuery
    tier: Tier
    plan: TierPlan
    k: int
    trace: Trace


def answer(release: Release, reader: FeatureReader, clock: Clock, request: RecommendRequest) -> Slate:
    """The release's slate for a request; fewer items than k where fewer are left.

    reader: of one generation; person and items are both read from it. The same release, values, time and request
    (with its seed) give the same slate.
    Raises UnknownId where the surface is an item's page and the release does not know the item; nothing else is
    refused.

    >>> from pathlib import Path
    >>> from contracts.clock import FixedClock
    >>> from release.bundle.bundle import load_bundle
    >>> release = load_bundle(Path("tests/golden/bundle_v3"))
    >>> reader = DefaultFeatureReader(release.generation_id, release.schemas)  # knows nobody
    >>> request = RecommendRequest("q-1", k=2, context={"gender": "F"}, explain=True)
    >>> slate = answer(release, reader, FixedClock(release.as_of), request)
    >>> [(item.position, item.title) for item in slate.items]
    [(1, 'Film 7 (horror)'), (2, 'Film 9 (comedy)')]
    >>> str(slate.tier), slate.items[0].reasons, slate.degraded
    ('contextual', ('Popular among people like you (F)',), ())
    """
    trace = Trace()
    now = clock.now()
    with trace.step("person"):
        person = _read_person(release, reader, request, now, trace)
    prepared = _prepare(release, reader, request, now, person, trace)
    with trace.step("retrieve"):
        candidates = _retrieve(prepared)
    candidates, scores = _score(prepared, candidates)
    with trace.step("arrange"):
        chosen, propensities = _arrange(prepared, candidates, scores)
    with trace.step("present"):
        items = _slate_items(prepared, candidates, scores, chosen, propensities)
    return Slate(
        request_id=request.request_id,
        release_id=release.release_id,
        generation_id=reader.generation_id,
        tier=prepared.tier,
        policy_id=_policy_id(prepared),
        degraded=trace.degraded,
        items=items,
        timings_ms=trace.timings_ms(),
    )


def _prepare(
    release: Release, reader: FeatureReader, request: RecommendRequest, now: datetime, person: Person, trace: Trace
) -> _PreparedRequest:
    query = retrieval_query(release, request, person, now)
    tier = identify_tier(
        query,
        has_account=request.user_id is not None,
        personal_min_events=release.request.personal_min_events,
    )
    k = min(request.k, release.request.max_k)
    return _PreparedRequest(
        release, reader, request, now, person, query, tier, plan_for(tier, request.surface), k, trace
    )


def _read_person(
    release: Release, reader: FeatureReader, request: RecommendRequest, now: datetime, trace: Trace
) -> Person:
    try:
        person = read_person(release, reader, request, now)
    except StoreError as error:
        _note_missing(trace, FEATURES, error)
        return _defaults(release, reader).read_person(request.user_id, request.session_id, now)
    _note_lost(trace, reader, person.n_lost)
    return person


def _read_items(prepared: _PreparedRequest, candidates: CandidateSet) -> FeatureRows:
    release, reader = prepared.release, prepared.reader
    item_ids = release.catalogue.ids.external(candidates.item_idx)
    try:
        rows = reader.read_items(item_ids, prepared.now)
    except StoreError as error:
        _note_missing(prepared.trace, FEATURES, error)
        return _defaults(release, reader).read_items(item_ids, prepared.now)
    _note_lost(prepared.trace, reader, rows.n_lost)
    return rows


def _defaults(release: Release, reader: FeatureReader) -> DefaultFeatureReader:
    return DefaultFeatureReader(reader.generation_id, release.schemas)


def _retrieve(prepared: _PreparedRequest) -> CandidateSet:
    release, query = prepared.release, prepared.query
    quotas = plan_quotas(prepared.plan, release.request.quotas, prepared.k)
    n_ranked = max(release.request.n_ranked, prepared.k)
    try:
        return gather(plan_generators(prepared.plan, release.generators), query, quotas, n_ranked)
    except Exception as error:  # noqa: BLE001 - the ladder: whatever a generator or the index dies of, people are answered
        _note_missing(prepared.trace, RETRIEVAL, error)
        return gather({LAST_RESORT: release.generators[LAST_RESORT]}, query, {LAST_RESORT: n_ranked}, n_ranked)


def _score(prepared: _PreparedRequest, candidates: CandidateSet) -> tuple[CandidateSet, FloatArray]:
    """The candidates with their scores, (n,): the ranker's where the plan asks for it and retrieval went well.

    Where ranks are fused, an item's source is the generator that did most for it.
    """
    trace = prepared.trace
    if prepared.plan.scorer is Scorer.RANKER and RETRIEVAL not in trace.degraded:
        with trace.step("features"):
            item_rows = _read_items(prepared, candidates)
        try:
            with trace.step("rank"):
                return candidates, _rank(prepared, candidates, item_rows)
        except Exception as error:  # noqa: BLE001 - the ladder: whatever the ranker dies of, people are answered
            _note_missing(trace, RANKER, error)
    with trace.step("fuse"):
        weights = None if RETRIEVAL in trace.degraded else prepared.plan.weights
        fused = fuse_by_rank(candidates, weights)
    return replace(candidates, sources=fused.sources), fused.scores


def _rank(prepared: _PreparedRequest, candidates: CandidateSet, item_rows: FeatureRows) -> FloatArray:
    release = prepared.release
    matrix = assemble(
        release.catalogue,
        prepared.query,
        candidates,
        prepared.person.features,
        item_rows,
        release.schemas,
        release.computed_features,
    )
    return release.ranker.score(matrix.values)


def _arrange(
    prepared: _PreparedRequest, candidates: CandidateSet, scores: FloatArray
) -> tuple[Positions, npt.NDArray[np.float64]]:
    """(rows, propensities): the rows of the candidates shown, in order, and the chance each stood where it stands."""
    rules = prepared.release.request
    order = np.lexsort((candidates.item_idx, -scores))
    if rules.relevance_weight < 1:
        order = _diversified_order(prepared, candidates.item_idx, scores, order)
    return explore(order, prepared.k, rules.exploration_share, _rng(prepared.request))


def _diversified_order(
    prepared: _PreparedRequest, item_idx: ItemIdxArray, scores: FloatArray, order: Positions
) -> Positions:
    """The order with its first k places taken by what is relevant and unlike; the others follow as they were."""
    vectors = prepared.release.catalogue.unit_categories[item_idx[order]]
    weight = prepared.release.request.relevance_weight
    first = maximal_marginal_relevance(scores[order], vectors, prepared.k, weight)
    others = np.setdiff1d(np.arange(len(order)), first)
    diversified: Positions = order[np.concatenate([first, others])]
    return diversified


def _rng(request: RecommendRequest) -> np.random.Generator:
    """Draws that depend on the request's seed and id alone, so that it can be answered again."""
    return np.random.default_rng(int(fingerprint_json([request.seed, request.request_id]), 16))


def _slate_items(
    prepared: _PreparedRequest,
    candidates: CandidateSet,
    scores: FloatArray,
    chosen: Positions,
    propensities: npt.NDArray[np.float64],
) -> tuple[SlateItem, ...]:
    catalogue, sources = prepared.release.catalogue, candidates.source_names()
    items = []
    for position, (row, propensity) in enumerate(zip(chosen.tolist(), propensities.tolist(), strict=True), start=1):
        item_idx = int(candidates.item_idx[row])
        items.append(
            SlateItem(
                item_id=catalogue.ids.ids[item_idx],
                title=catalogue.titles[item_idx],
                position=position,
                score=float(scores[row]),
                source=sources[row],
                propensity=propensity,
                reasons=_reasons(prepared, candidates, row),
            )
        )
    return tuple(items)


def _reasons(prepared: _PreparedRequest, candidates: CandidateSet, row: int) -> tuple[str, ...]:
    if not prepared.request.explain:
        return ()
    return reasons(prepared.release.catalogue, prepared.release.generators, prepared.query, candidates, row)


def _policy_id(prepared: _PreparedRequest) -> str:
    """Which rule chose the slate: the scorer that was used, and how much it was explored around."""
    ranked = prepared.plan.scorer is Scorer.RANKER and not {RANKER, RETRIEVAL} & set(prepared.trace.degraded)
    scorer = Scorer.RANKER if ranked else Scorer.FUSION
    share = prepared.release.request.exploration_share
    return f"{scorer}+explore-{share:g}" if share else str(scorer)


def _note_lost(trace: Trace, reader: FeatureReader, n_lost: int) -> None:
    """Note that of what was published some is not there, and defaults stand in."""
    if n_lost:
        problem = f"{n_lost} values of generation {reader.generation_id} were published, and are lost or damaged."
        _note_missing(trace, FEATURES, PublishIncomplete(problem, "`slate sync` writes them again."))


def _note_missing(trace: Trace, what: str, error: Exception) -> None:
    trace.note_missing(what)
    LOG.warning("Answering without %s: %s: %s", what, type(error).__name__, error)
