"""Everything about one answer: candidates and what removed them, features with ages, contributions, rules, places.

The request is answered again with a recorder that keeps what the request path hands over, so that the account is of
the very answer that is shown with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.features import FeatureSchema, Person, ReadRows
from contracts.filters import filter_text
from contracts.ids import FloatArray, ItemId, ItemIdxArray
from contracts.settings.placements import Rule
from contracts.slates import RecommendRequest, Slate
from recommender.candidates import CandidateSet
from recommender.generators.base import Generator
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.slates.explanation import group_contributions, item_to_item_names
from recommender.slates.reason_table import columns_by_group
from recommender.slates.rules import Boost, boosted
from release.answering.arrangement import Arrangement
from release.answering.placing import Place, place_of
from release.answering.request_path import Scored
from release.answering.tiers import FUSION_CONSTANT, TierPlan, plan_generators, plan_quotas
from release.bundle.bundle import Release

Positions = npt.NDArray[np.intp]

_NO_ITEMS: Final[ItemIdxArray] = np.empty(0, np.int32)


@dataclass
class AnswerRecorder:
    """Keeps what the request path hands over of one request."""

    people: list[Person] = field(default_factory=list)
    now: datetime | None = None
    item_ids: Sequence[ItemId] = ()
    rows: ReadRows | None = None
    queries: QueryBatch | None = None
    scored: Scored | None = None
    shown: Arrangement | None = None

    def note_people(self, _requests: Sequence[RecommendRequest], people: Sequence[Person], now: datetime) -> None:
        """Who asks, with their live features as of now."""
        self.people, self.now = list(people), now

    def note_items(
        self,
        _requests: Sequence[RecommendRequest],
        item_ids: Sequence[ItemId],
        rows: ReadRows,
        _candidates: Sequence[Positions],
    ) -> None:
        """The rows of items that were read."""
        self.item_ids, self.rows = item_ids, rows

    def note_shown(
        self, _requests: Sequence[RecommendRequest], queries: QueryBatch, scored: Scored, shown: Arrangement
    ) -> None:
        """What the generators were asked, the candidates with their scores, and which of them are shown."""
        self.queries, self.scored, self.shown = queries, scored, shown


def account_of(release: Release, request: RecommendRequest, slate: Slate, noted: AnswerRecorder) -> dict[str, Any]:
    """All that is known of one answer, as JSON. noted: while the slate was made, of this request alone."""
    if noted.queries is None or noted.scored is None or noted.shown is None or noted.now is None:
        raise ValueError(f"nothing was noted of request {request.request_id!r}")
    queries, scored, shown = noted.queries, noted.scored, noted.shown
    place = place_of(release, request)
    release, plan = release.at(place.name), place.plan(slate.tier, slate.rules, request.filter)
    k, rules = min(request.k, release.request.max_k), place.rules(slate.rules)
    return {
        "request": request.to_json(),
        "release_id": slate.release_id,
        "generation_id": slate.generation_id,
        "now": noted.now.isoformat(),
        "tier": str(slate.tier),
        "policy_id": slate.policy_id,
        "degraded": list(slate.degraded),
        "person": _person_fields(release.schemas.user, noted.people[0], noted.now),
        "rules": {**_rule_fields(release, request, queries), **_placement_fields(place, slate.rules)},
        **_candidate_fields(release, plan, k, queries, scored, shown, puts_items=rules.put_items),
        "items": _item_fields(release, plan, slate, scored, shown, noted, rules.boosts),
    }


def _person_fields(schema: FeatureSchema, person: Person, now: datetime) -> dict[str, Any]:
    return {
        "known": bool(person.features.known.any()),
        "history_events": len(person.history),
        "older_events": len(person.older),
        "session_events": len(person.session),
        "recent_events": len(person.recent),
        "features": _row_fields(schema, person.features, 0, now),
    }


def _row_fields(schema: FeatureSchema, rows: ReadRows, at: int, now: datetime) -> list[dict[str, Any]]:
    """The features of one row. age_days: of the row, None where the value is a default."""
    written = int(rows.written[at])
    age = round((now.timestamp() - written) / SECONDS_PER_DAY, 3) if written else None
    columns = zip(schema.names, rows.values[at].tolist(), rows.missing[at].tolist(), strict=True)
    return [
        {"name": name, "value": value, "is_default": missing, "age_days": None if missing else age}
        for name, value, missing in columns
    ]


def _rule_fields(release: Release, request: RecommendRequest, queries: QueryBatch) -> dict[str, Any]:
    rules = release.request
    return {
        "excluded_items": len(queries.excluded[0]),
        "excluding_events": rules.excluding_events,
        "excluded_days": rules.excluded_days,
        "filter": None if request.filter is None else filter_text(request.filter),
        "n_ranked": rules.n_ranked,
        "relevance_weight": rules.relevance_weight,
        "diversity": rules.diversity.model_dump(mode="json"),
        "exploration_share": rules.exploration_share,
    }


def _placement_fields(place: Place, holding: Sequence[str]) -> dict[str, Any]:
    """What the placement says in words: what its items satisfy, and the rules that held.

    where: None where every item may stand there; of_placement: of each rule its name, what it does, to which items.
    """
    where, rules = place.placement.where, place.placement.rules
    return {
        "placement": place.name,
        "where": where.text if where else None,
        "of_placement": [_fields_of_rule(name, rules[name]) for name in holding],
    }


def _fields_of_rule(name: str, rule: Rule) -> dict[str, Any]:
    options = rule.model_dump(mode="json", exclude_none=True, exclude={rule.kind, "when"})
    when = {"when": rule.when.text} if rule.when else {}
    return {"name": name, "does": rule.kind, "items": rule.items.text, "options": options, **when}


def _candidate_fields(
    release: Release,
    plan: TierPlan,
    k: int,
    queries: QueryBatch,
    scored: Scored,
    shown: Arrangement,
    *,
    puts_items: bool,
) -> dict[str, Any]:
    """generators: of each that took part, what became of its proposals; by_rules: of the candidates that were looked
    for beside those, because a rule puts some of them into the slate (puts_items).
    """
    quotas, candidates = plan_quotas(plan, release.quotas, k), scored.candidates
    asked = sorted(plan_generators(plan, release.generators).items())
    proposed = {name: _proposed(one, quotas.get(name, 0), queries, candidates) for name, one in asked}
    is_shown = candidates.item_idx[shown.rows]
    further = np.setdiff1d(candidates.item_idx, np.concatenate(list(proposed.values()))) if puts_items else _NO_ITEMS
    generators = [
        {
            "name": name,
            "quota": quotas.get(name, 0),
            **_removed(one, quotas.get(name, 0), queries, candidates),
            **_fates(proposed[name], candidates, is_shown),
        }
        for name, one in asked
    ]
    return {"generators": generators, "by_rules": _fates(further, candidates, is_shown)}


def _proposed(generator: Generator, quota: int, queries: QueryBatch, candidates: CandidateSet) -> ItemIdxArray:
    """What a generator proposed within its quota; nothing where it was not asked."""
    if not quota or generator.name not in candidates.names:
        return _NO_ITEMS
    return generator.encode(queries).propose(quota).of_query(0)[0]


def _removed(generator: Generator, quota: int, queries: QueryBatch, candidates: CandidateSet) -> dict[str, int]:
    """Of what a generator would propose without rules, how much was excluded, and how much filtered."""
    free = replace(queries, excluded=RaggedItems.of([_NO_ITEMS]), allowed=None)
    wanted = _proposed(generator, quota, free, candidates)
    is_excluded = np.isin(wanted, queries.excluded[0])
    is_filtered = ~is_excluded & ~np.isin(wanted, queries.allowed_of(wanted))
    return {"excluded": int(is_excluded.sum()), "filtered": int(is_filtered.sum())}


def _fates(proposed: ItemIdxArray, candidates: CandidateSet, shown: ItemIdxArray) -> dict[str, int]:
    """Of items that were proposed, how many were not ranked, were ranked below those shown, and were shown."""
    is_ranked, is_shown = np.isin(proposed, candidates.item_idx), np.isin(proposed, shown)
    return {
        "proposed": len(proposed),
        "not_ranked": int((~is_ranked).sum()),
        "ranked_below": int((is_ranked & ~is_shown).sum()),
        "shown": int(is_shown.sum()),
    }


def _item_fields(
    release: Release,
    plan: TierPlan,
    slate: Slate,
    scored: Scored,
    shown: Arrangement,
    noted: AnswerRecorder,
    boosts: Sequence[Boost],
) -> list[dict[str, Any]]:
    candidates, rows = scored.candidates, shown.rows.tolist()
    unboosted = scored.scores if scored.unboosted is None else scored.unboosted
    places, boosted_places = _places(candidates, unboosted), _places(candidates, scored.scores)
    added = _contribution_fields(release, scored, shown.rows)
    by_boost = _added_by_boosts(candidates, unboosted, boosts)
    return [
        {
            "position": item.position,
            "item_id": item.item_id,
            "title": item.title,
            "score": item.score,
            "place_by_score": places[row],
            "place_after_boosts": boosted_places[row],
            "rules": list(item.rules),
            "boosts": {name: float(values[row]) for name, values in by_boost.items() if values[row]},
            "source": item.source,
            "propensity": item.propensity,
            "reasons": list(item.reasons),
            "proposed_by": _proposers(plan, candidates, row, is_fused=scored.ranked is None),
            "row": _item_row(release, item.item_id, noted),
            **of_item,
        }
        for item, row, of_item in zip(slate.items, rows, added, strict=True)
    ]


def _places(candidates: CandidateSet, scores: FloatArray) -> dict[int, int]:
    """By row of a candidate, its place in the order of the scores, from 1."""
    order = np.lexsort((candidates.item_idx, -scores))
    return {row: place for place, row in enumerate(order.tolist(), start=1)}


def _added_by_boosts(candidates: CandidateSet, scores: FloatArray, boosts: Sequence[Boost]) -> dict[str, FloatArray]:
    """By rule that boosts or buries, (n_candidates,) what it adds to the scores."""
    offsets, item_idx = candidates.items.offsets, candidates.item_idx
    return {boost.name: boosted(scores, offsets, item_idx, (boost,)) - scores for boost in boosts}


def _item_row(release: Release, item_id: ItemId, noted: AnswerRecorder) -> list[dict[str, Any]]:
    if noted.rows is None or noted.now is None:
        return []
    return _row_fields(release.schemas.item, noted.rows, list(noted.item_ids).index(item_id), noted.now)


def _proposers(plan: TierPlan, candidates: CandidateSet, row: int, *, is_fused: bool) -> dict[str, dict[str, float]]:
    """By generator that proposed the candidate, the place; where ranks were fused, also what it did for the score."""
    told: dict[str, dict[str, float]] = {}
    for column, name in enumerate(candidates.names):
        if candidates.proposed[row, column]:
            place = int(candidates.ranks[row, column])
            weight = 1.0 if plan.weights is None else plan.weights.get(name, 0.0)
            told[name] = {"place": place, **({"added": weight / (FUSION_CONSTANT + place)} if is_fused else {})}
    return told


def _contribution_fields(release: Release, scored: Scored, rows: Positions) -> list[dict[str, Any]]:
    """Of each row what its features add to the ranker's score, those that add most first; {} where ranks were fused."""
    ranked = scored.ranked
    if ranked is None:
        return [{} for _ in rows]
    values, names = ranked.matrix.values[rows], ranked.matrix.names
    added = release.ranker.contributions(values)
    groups = group_contributions(added, columns_by_group(names, item_to_item_names(release.generators)))
    return [
        {
            "base": float(added[at, -1]),
            "groups": {str(group): float(sums[at]) for group, sums in _largest_first(groups, at)},
            "features": [
                {"name": names[column], "value": _told(values[at, column]), "added": float(added[at, column])}
                for column in np.argsort(-np.abs(added[at, :-1]), kind="stable").tolist()
            ],
        }
        for at in range(len(rows))
    ]


def _largest_first(groups: Any, at: int) -> list[tuple[Any, Any]]:
    return sorted(groups.items(), key=lambda pair: -abs(pair[1][at]))


def _told(value: np.float32) -> float | None:
    return float(value) if np.isfinite(value) else None
