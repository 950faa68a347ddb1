"""The request path: a release, a feature reader and a clock make slates, of one request or of many.

    read the people -> find the placement -> identify the tier -> retrieve within its filters -> features -> rank
      -> boost -> diversify -> fill places by rules -> explore -> explain

This is the one code that evaluation, golden answers, batch, the MLflow pyfunc and the server call. It takes requests
in blocks; those of a block that are served alike go through each step together, and what one of them is answered does
not depend on the others, to the last bit. It degrades rather than fails, and says so: features that cannot be read
become defaults (and without history the tier falls to what the request tells), a generator that fails is left out (and
what is popular is shown where the others would not fill a slate), a ranker that fails leaves the order of retrieval,
and reasons that cannot be given are not. Where a step fails for several requests, each is answered alone, so that
nobody has to do without something because of somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.batches import batches_of
from contracts.clock import Clock
from contracts.errors import PublishIncomplete, StoreError, StoreUnavailable
from contracts.features import FeatureReader, FeatureRows, Person, ReadRows, Visitor
from contracts.ids import EpochSeconds, FloatArray, ItemId
from contracts.slates import RecommendRequest, Slate, SlateItem, Tier
from feature_store.readers.default_reader import DefaultFeatureReader
from recommender.allowed_items import AllowedItems
from recommender.candidates import CandidateSet, SparedFailures, gather, joined
from recommender.generators.popular import FILLER
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import places_of
from recommender.ranking.ranking_features import RankingMatrix, assemble
from recommender.slates.explanation import Ranked, reasons
from recommender.slates.rules import SlateRules, boosted
from release.answering.arrangement import Arrangement, arrange, policy_suffix
from release.answering.placing import Needed, Place, place_of
from release.answering.request_query import read_people, retrieval_query
from release.answering.tiers import (
    Scorer,
    TierPlan,
    fuse_by_rank,
    identify_tier,
    plan_generators,
    plan_quotas,
)
from release.answering.trace import Trace
from release.bundle.bundle import Release

LOG = logging.getLogger(__name__)

# What an answer can have to do without, as `Slate.degraded` names it.
FEATURES = "features"
RETRIEVAL = "retrieval"
GENERATOR = "generator:{}"  # one of them alone
RANKER = "ranker"
REASONS = "reasons"

# What is left to propose when retrieval fails: it looks at nothing but its own counts.
LAST_RESORT = FILLER

# Requests that are answered at once: enough for arrays to pay, few enough for the 500 candidates of each to stay small.
BLOCK = 64

Positions = npt.NDArray[np.intp]


class Recorder(Protocol):
    """Is handed what answers stand on, as the path uses it; a second time where a request had to be answered again."""

    def note_people(self, requests: Sequence[RecommendRequest], people: Sequence[Person], now: datetime) -> None:
        """Who asks, with their live features as of now."""
        ...

    def note_items(
        self,
        requests: Sequence[RecommendRequest],
        item_ids: Sequence[ItemId],
        rows: ReadRows,
        candidates: Sequence[Positions],
    ) -> None:
        """The rows of items that were read; candidates: for each request, which of them the ranker was handed."""
        ...

    def note_shown(
        self, requests: Sequence[RecommendRequest], queries: QueryBatch, scored: Scored, shown: Arrangement
    ) -> None:
        """What the generators were asked, the candidates with their scores, and which of them are shown."""
        ...


class _NoRecorder:
    def note_people(self, *_noted: object, **_named: object) -> None:
        pass

    def note_items(self, *_noted: object, **_named: object) -> None:
        pass

    def note_shown(self, *_noted: object, **_named: object) -> None:
        pass


@dataclass(frozen=True)
class _PreparedRequest:
    """One request with everything that was made out of it before candidates are asked for.

    missing: what its answer has to do without already; allowed: the items that its filter and its placement let
    through, None for all; rules: the names of the rules of the placement that hold.
    """

    request: RecommendRequest
    place: Place
    rules: tuple[str, ...]
    person: Person
    query: RetrievalQuery
    tier: Tier
    plan: TierPlan
    k: int
    missing: tuple[str, ...]
    allowed: AllowedItems | None


@dataclass(frozen=True)
class _Group:
    """Requests of one block that are served alike: at one place, by one plan and the same rules, with as many items,
    and through one filter. release: as it answers at that place.
    """

    release: Release
    reader: FeatureReader
    recorder: Recorder
    now: datetime
    members: Sequence[_PreparedRequest]
    trace: Trace

    @property
    def requests(self) -> list[RecommendRequest]:
        return [member.request for member in self.members]

    @property
    def plan(self) -> TierPlan:
        return self.members[0].plan

    @property
    def k(self) -> int:
        return self.members[0].k

    @property
    def rules(self) -> SlateRules:
        """Those of the placement that hold."""
        return self.members[0].place.rules(self.members[0].rules)

    @property
    def needed(self) -> list[Needed]:
        """The items of which there must be candidates, for a rule puts some of them into the slate."""
        first = self.members[0]
        return first.place.needed(first.rules, first.request.filter, first.k)

    @cached_property
    def queries(self) -> QueryBatch:
        return QueryBatch.of([member.query for member in self.members], self.members[0].allowed)

    def note_missing(self, what: str, error: Exception) -> None:
        """Note that the answer has to do without `what`; raises _AnswerAlone where it is the answer of several.

        A store that is away is away for all of them, and is not asked again for each.
        """
        if len(self.members) > 1 and not isinstance(error, StoreUnavailable):
            raise _AnswerAlone from error
        self.trace.note_missing(what)
        _warn_missing(what, error)


class _AnswerAlone(Exception):
    """Something failed for several requests at once: each must be answered alone."""


def answer(release: Release, reader: FeatureReader, clock: Clock, request: RecommendRequest) -> Slate:
    """The release's slate for a request; fewer items than k where fewer are left, or pass its filter.

    reader: of one generation; person and items are both read from it. The same release, values, time and request
    (with its seed) give the same slate.
    Raises UnknownId where the surface is an item's page and the release does not know the item, or where the filter
    names a field, or the request a placement or one of its rules, that it has not; WrongInput where the filter compares
    a field with a value of another type, or an item is named where none belongs, or missing. Nothing else is refused.

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
    return answer_many(release, reader, clock, [request])[0]


def answer_many(
    release: Release,
    reader: FeatureReader,
    clock: Clock,
    requests: Sequence[RecommendRequest],
    recorder: Recorder | None = None,
) -> list[Slate]:
    """A slate for each request, in their order: what `answer` gives for it alone, but for the time it took.

    The clock is read once for each block of requests. `timings_ms` are a request's share of its block's.
    recorder: is handed what the slates stand on.
    Raises UnknownId and WrongInput as `answer`; then nobody is answered.
    """
    noting = recorder or _NoRecorder()
    blocks = batches_of(requests, BLOCK)
    return [slate for block in blocks for slate in _answer_block(release, reader, clock, block, noting)]


def _answer_block(
    release: Release, reader: FeatureReader, clock: Clock, requests: Sequence[RecommendRequest], recorder: Recorder
) -> list[Slate]:
    trace, now = Trace(len(requests)), clock.now()
    with trace.step("person"):
        people = _read_people(release, reader, requests, now)
    recorder.note_people(requests, [person for person, _ in people], now)
    prepared = [
        _prepare(release, request, now, person, missing)
        for request, (person, missing) in zip(requests, people, strict=True)
    ]
    spent_ms, slates = trace.timings_ms(), dict[int, Slate]()
    for numbers in _served_alike(prepared):
        members = [prepared[number] for number in numbers]
        here = release.at(members[0].place.name)
        group = _Group(here, reader, recorder, now, members, Trace(len(members), spent_ms))
        slates.update(zip(numbers, _slates(group), strict=True))
    return [slates[number] for number in range(len(requests))]


def _served_alike(prepared: Sequence[_PreparedRequest]) -> list[list[int]]:
    """The numbers of the requests, those together that have one place, plan, length and filter, and the same rules."""
    alike: dict[tuple[str, int, int, int, tuple[str, ...]], list[int]] = {}
    for number, one in enumerate(prepared):
        key = (one.place.name, id(one.plan), one.k, id(one.allowed), one.rules)
        alike.setdefault(key, []).append(number)
    return list(alike.values())


def _slates(group: _Group) -> list[Slate]:
    try:
        return _slates_together(group)
    except _AnswerAlone:
        spent_ms = group.trace.timings_ms()
        alone = (replace(group, members=[member], trace=Trace(1, spent_ms)) for member in group.members)
        return [slate for one in alone for slate in _slates_together(one)]


def _slates_together(group: _Group) -> list[Slate]:
    with group.trace.step("retrieve"):
        candidates = _retrieve(group)
    scored = _score(group, candidates)
    with group.trace.step("arrange"):
        moved = boosted(scored.scores, candidates.items.offsets, candidates.item_idx, group.rules.boosts)
        scored, histories = replace(scored, scores=moved, unboosted=scored.scores), group.queries.histories.items
        shown = arrange(
            group.release, group.requests, histories, scored.candidates, scored.scores, group.k, group.rules
        )
    group.recorder.note_shown(group.requests, group.queries, scored, shown)
    with group.trace.step("present"):
        slates = _slate_items(group, scored, shown)
    return [
        Slate(
            request_id=member.request.request_id,
            release_id=group.release.release_id,
            generation_id=group.reader.generation_id,
            tier=member.tier,
            policy_id=_policy_id(group) + member.place.policy_suffix(member.request.without_rules),
            degraded=tuple(dict.fromkeys([*member.missing, *group.trace.degraded])),
            items=items,
            timings_ms=group.trace.timings_ms(),
            placement=member.place.name,
            rules=member.rules,
        )
        for member, items in zip(group.members, slates, strict=True)
    ]


def _prepare(
    release: Release, request: RecommendRequest, now: datetime, person: Person, missing: tuple[str, ...]
) -> _PreparedRequest:
    place = place_of(release, request)
    rules_of_request = release.at(place.name).request
    if request.placement:
        request = replace(request, surface=place.surface)
    query = retrieval_query(release.at(place.name), request, person, now)
    tier = identify_tier(
        query,
        has_account=request.user_id is not None,
        personal_min_events=rules_of_request.personal_min_events,
    )
    k = min(request.k, rules_of_request.max_k)
    rules = place.holding(tier, request.context, request.without_rules)
    allowed = place.allowed(rules, request.filter)
    plan = place.plan(tier, rules, request.filter)
    return _PreparedRequest(request, place, rules, person, query, tier, plan, k, missing, allowed)


def _read_people(
    release: Release, reader: FeatureReader, requests: Sequence[RecommendRequest], now: datetime
) -> list[tuple[Person, tuple[str, ...]]]:
    """The people, and what is missing of each. What the store refuses of one is not missing for the others."""
    try:
        people = read_people(release, reader, requests, now)
    except StoreError as error:
        if len(requests) > 1 and not isinstance(error, StoreUnavailable):
            return [one for request in requests for one in _read_people(release, reader, [request], now)]
        _warn_missing(FEATURES, error)
        unknown = _defaults(release, reader).read_people([Visitor()] * len(requests), now)
        return [(person, (FEATURES,)) for person in unknown]
    for lost in filter(None, (person.n_lost for person in people)):
        _warn_missing(FEATURES, _lost(reader, lost))
    return [(person, (FEATURES,) if person.n_lost else ()) for person in people]


def _read_items(group: _Group, candidates: CandidateSet) -> tuple[FeatureRows, EpochSeconds]:
    """(n_candidates, n_item_features) the rows of the candidates, and when each was true; each item is read once."""
    release, reader = group.release, group.reader
    item_idx, of_candidate = np.unique(candidates.item_idx, return_inverse=True)
    item_ids = release.catalogue.ids.named(item_idx)
    try:
        rows = reader.read_items(item_ids, group.now)
    except StoreError as error:
        group.note_missing(FEATURES, error)
        rows = _defaults(release, reader).read_items(item_ids, group.now)
    if rows.n_lost:
        group.note_missing(FEATURES, _lost(reader, rows.n_lost))
    group.recorder.note_items(group.requests, item_ids, rows, _split(of_candidate, candidates.items.offsets))
    return FeatureRows(rows.values[of_candidate], rows.known[of_candidate]), rows.written[of_candidate]


def _split(values: Positions, offsets: npt.NDArray[np.int64]) -> list[Positions]:
    return [values[start:end] for start, end in pairwise(offsets.tolist())]


def _defaults(release: Release, reader: FeatureReader) -> DefaultFeatureReader:
    return DefaultFeatureReader(reader.generation_id, release.schemas)


def _retrieve(group: _Group) -> CandidateSet:
    release, queries = group.release, group.queries
    quotas = plan_quotas(group.plan, release.quotas, group.k)
    n_ranked = max(release.request.n_ranked, group.k)
    asked, spared = plan_generators(group.plan, release.generators), SparedFailures()
    try:
        candidates = gather(spared.encode_all(asked, queries), queries, quotas, n_ranked)
        for needed in group.needed:
            candidates = joined(candidates, _among(group, needed, spared, quotas), quotas)
    except Exception as error:  # noqa: BLE001 - whatever the merge or the index dies of, people are answered
        return _last_resort(group, n_ranked, error)
    for name, failure in spared.failures.items():
        group.note_missing(GENERATOR.format(name), failure)
    if spared.failures and len(candidates) < group.k:
        return _last_resort(group, n_ranked, next(iter(spared.failures.values())))
    return candidates


def _among(group: _Group, needed: Needed, spared: SparedFailures, quotas: Mapping[str, int]) -> CandidateSet:
    """The best candidates of each request among items of which a rule puts some into the slate."""
    queries, n = replace(group.queries, allowed=needed.items), needed.n
    asked = spared.encode_all(plan_generators(group.plan, group.release.generators), queries)
    return gather(asked, queries, {name: min(quota, n) for name, quota in quotas.items()}, n)


def _last_resort(group: _Group, n_ranked: int, error: Exception) -> CandidateSet:
    """What is popular, where what else there is would not fill a slate; nothing where not even that can be told."""
    group.note_missing(RETRIEVAL, error)
    popular = {LAST_RESORT: group.release.generators[LAST_RESORT]}
    return gather(SparedFailures().encode_all(popular, group.queries), group.queries, {LAST_RESORT: n_ranked}, n_ranked)


@dataclass(frozen=True)
class Scored:
    """Candidates with their scores, (n,). ranked: how the ranker came to them; None where it did not.

    unboosted: the scores before rules moved them; None until then.
    """

    candidates: CandidateSet
    scores: FloatArray
    ranked: Ranked | None = None
    unboosted: FloatArray | None = None


def _score(group: _Group, candidates: CandidateSet) -> Scored:
    """The candidates with their scores: the ranker's where the plan asks for it and retrieval went well.

    Where ranks are fused, an item's source is the generator that did most for it.
    """
    trace = group.trace
    if group.plan.scorer is Scorer.RANKER and RETRIEVAL not in trace.degraded:
        with trace.step("features"):
            item_rows, written = _read_items(group, candidates)
        try:
            with trace.step("rank"):
                release, matrix = group.release, _ranking_matrix(group, candidates, item_rows)
                scores = release.ranker.score(matrix.values)
                return Scored(candidates, scores, Ranked(release.ranker, matrix, release.schemas, written))
        except Exception as error:  # noqa: BLE001 - whatever the ranker dies of, people are answered
            group.note_missing(RANKER, error)
    with trace.step("fuse"):
        weights = None if RETRIEVAL in trace.degraded else group.plan.weights
        fused = fuse_by_rank(candidates, weights)
    return Scored(replace(candidates, sources=fused.sources), fused.scores)


def _ranking_matrix(group: _Group, candidates: CandidateSet, item_rows: FeatureRows) -> RankingMatrix:
    release = group.release
    people = [member.person.features for member in group.members]
    user_rows = FeatureRows(
        np.concatenate([rows.values for rows in people]), np.concatenate([rows.known for rows in people])
    )
    return assemble(
        release.catalogue,
        group.queries,
        candidates,
        user_rows,
        item_rows,
        release.schemas,
        release.computed_features,
    )


def _slate_items(group: _Group, scored: Scored, shown: Arrangement) -> list[tuple[SlateItem, ...]]:
    """For each member its items, in the order of their positions."""
    catalogue, candidates, scores = group.release.catalogue, scored.candidates, scored.scores
    names = candidates.names
    item_idx = candidates.item_idx[shown.rows]
    columns = zip(
        catalogue.ids.external(item_idx),
        catalogue.titles.at(item_idx),
        places_of(shown.offsets).tolist(),
        scores[shown.rows].tolist(),
        candidates.sources[shown.rows].tolist(),
        shown.propensities.tolist(),
        _reasons(group, scored, shown),
        group.rules.names_of(item_idx, places_of(shown.offsets) + 1),
        strict=True,
    )
    items = [
        SlateItem(
            item_id=item_id,
            title=title,
            position=place + 1,
            score=score,
            source=names[source],
            propensity=propensity,
            reasons=sentences,
            rules=rules,
        )
        for item_id, title, place, score, source, propensity, sentences, rules in columns
    ]
    bounds = shown.offsets.tolist()
    return [tuple(items[start:end]) for start, end in pairwise(bounds)]


def _reasons(group: _Group, scored: Scored, shown: Arrangement) -> list[tuple[str, ...]]:
    """For each item shown, why; nothing for a request that does not ask."""
    sentences: list[tuple[str, ...]] = [()] * len(shown.rows)
    asks = np.array([member.request.explain for member in group.members], bool)
    explained = np.flatnonzero(np.repeat(asks, np.diff(shown.offsets)))
    if not len(explained):
        return sentences
    release, degraded = group.release, group.trace.degraded
    sound = {name: one for name, one in release.generators.items() if GENERATOR.format(name) not in degraded}
    try:
        rows = shown.rows[explained]
        of_each = reasons(release.catalogue, sound, group.queries, scored.candidates, rows, scored.ranked)
    except Exception as error:  # noqa: BLE001 - a slate without reasons is better than none
        group.note_missing(REASONS, error)
        return sentences
    for at, of_one in zip(explained.tolist(), of_each, strict=True):
        sentences[at] = of_one
    return sentences


def _policy_id(group: _Group) -> str:
    """Which rule chose the slates: the scorer that was used, and what was made of its order."""
    ranked = group.plan.scorer is Scorer.RANKER and not {RANKER, RETRIEVAL} & set(group.trace.degraded)
    scorer = Scorer.RANKER if ranked else Scorer.FUSION
    return f"{scorer}{policy_suffix(group.release.request)}"


def _lost(reader: FeatureReader, n_lost: int) -> PublishIncomplete:
    """That of what was published some is not there, and defaults stand in."""
    problem = f"{n_lost} values of generation {reader.generation_id} were published, and are lost or damaged."
    return PublishIncomplete(problem, "`slate sync` writes them again.")


def _warn_missing(what: str, error: Exception) -> None:
    LOG.warning("Answering without %s: %s: %s", what, type(error).__name__, error)
