"""Everything about one answer: candidates and what removed them, features with ages, contributions, rules, places.

The request is answered again with a recorder that keeps what the request path hands over, so that the account is of
the very answer that is shown with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.features import FeatureSchema, Person, ReadRows
from contracts.filters import filter_text
from contracts.ids import ItemId, ItemIdxArray
from contracts.slates import RecommendRequest, Slate
from recommender.candidates import CandidateSet
from recommender.generators.base import Generator
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.slates.explanation import group_contributions, item_to_item_names
from recommender.slates.reason_table import columns_by_group
from release.answering.arrangement import Arrangement
from release.answering.placing import place_of
from release.answering.request_path import Scored
from release.answering.tiers import FUSION_CONSTANT, TierPlan, plan_generators, plan_quotas
from release.bundle.bundle import Release

Positions = npt.NDArray[np.intp]


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
    return {
        "request": request.to_json(),
        "release_id": slate.release_id,
        "generation_id": slate.generation_id,
        "now": noted.now.isoformat(),
        "tier": str(slate.tier),
        "policy_id": slate.policy_id,
        "degraded": list(slate.degraded),
        "person": _person_fields(release.schemas.user, noted.people[0], noted.now),
        "rules": {
            **_rule_fields(release, request, queries),
            "placement": slate.placement,
            "of_placement": list(slate.rules),
        },
        "generators": _generator_fields(release, plan, min(request.k, release.request.max_k), queries, scored, shown),
        "items": _item_fields(release, plan, slate, scored, shown, noted),
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


def _generator_fields(
    release: Release, plan: TierPlan, k: int, queries: QueryBatch, scored: Scored, shown: Arrangement
) -> list[dict[str, Any]]:
    """For each generator that took part, what became of its proposals."""
    quotas = plan_quotas(plan, release.quotas, k)
    asked = sorted(plan_generators(plan, release.generators).items())
    is_shown = scored.candidates.item_idx[shown.rows]
    return [
        {"name": name, "quota": quotas.get(name, 0), **_fates(one, quotas.get(name, 0), queries, scored, is_shown)}
        for name, one in asked
    ]


def _fates(
    generator: Generator, quota: int, queries: QueryBatch, scored: Scored, shown: ItemIdxArray
) -> dict[str, int]:
    """How many of a generator's proposals went where.

    excluded, filtered: of what it would propose without rules; proposed: of those that remain, as many as its quota; of
    these the ones that were not ranked, were ranked below those shown, and were shown.
    """
    candidates: CandidateSet = scored.candidates
    if not quota or generator.name not in candidates.names:
        return dict.fromkeys(("excluded", "filtered", "proposed", "not_ranked", "ranked_below", "shown"), 0)
    free = replace(queries, excluded=RaggedItems.of([np.empty(0, np.int32)]), allowed=None)
    wanted, _ = generator.encode(free).propose(quota).of_query(0)
    proposed, _ = generator.encode(queries).propose(quota).of_query(0)
    is_excluded = np.isin(wanted, queries.excluded[0])
    is_ranked, is_shown = np.isin(proposed, candidates.item_idx), np.isin(proposed, shown)
    return {
        "excluded": int(is_excluded.sum()),
        "filtered": int((~is_excluded & ~np.isin(wanted, queries.allowed_of(wanted))).sum()),
        "proposed": len(proposed),
        "not_ranked": int((~is_ranked).sum()),
        "ranked_below": int((is_ranked & ~is_shown).sum()),
        "shown": int(is_shown.sum()),
    }


def _item_fields(
    release: Release, plan: TierPlan, slate: Slate, scored: Scored, shown: Arrangement, noted: AnswerRecorder
) -> list[dict[str, Any]]:
    candidates, rows = scored.candidates, shown.rows.tolist()
    order = np.lexsort((candidates.item_idx, -scored.scores))
    places = {row: place for place, row in enumerate(order.tolist(), start=1)}
    added = _contribution_fields(release, scored, shown.rows)
    return [
        {
            "position": item.position,
            "item_id": item.item_id,
            "title": item.title,
            "score": item.score,
            "place_by_score": places[row],
            "source": item.source,
            "propensity": item.propensity,
            "reasons": list(item.reasons),
            "proposed_by": _proposers(plan, candidates, row, is_fused=scored.ranked is None),
            "row": _item_row(release, item.item_id, noted),
            **of_item,
        }
        for item, row, of_item in zip(slate.items, rows, added, strict=True)
    ]


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
