"""What each rule of a placement does to slates, and what it costs: asked on a release's own test window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from contracts.batches import batches_of
from contracts.clock import FixedClock
from contracts.errors import WrongInput
from contracts.features import FeatureReader
from contracts.settings.evaluate import PROMOTION_CUTOFF
from contracts.slates import RecommendRequest
from recommender.judging.hits import Hits, ndcg
from recommender.judging.intervals import Interval, PerPerson
from recommender.ragged import RaggedItems
from release.answering.placing import place_of
from release.answering.request_path import BLOCK, answer_many
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import EvaluationCase, sessions_of
from release.evaluation.measured_window import MeasuredWindow
from release.evaluation.summary import Bootstrap

Progress = Callable[[Iterable[EvaluationCase]], Iterable[EvaluationCase]]


@dataclass(frozen=True)
class RuleEffect:
    """What one rule does to the slates of one group of people.

    n_changed: of the n_slates, those that are others without the rule; share_replaced: of all places, those whose item
    is not in the slate without it. ndcg: of the slates with all rules; gain: with all rules - without this one, by
    paired intervals: below 0 is what the rule costs.
    """

    group: str
    rule: str
    n_slates: int
    n_changed: int
    share_replaced: float
    ndcg: float
    gain: Interval


def rule_effects(
    release: Release,
    reader: FeatureReader,
    groups: Mapping[str, Sequence[EvaluationCase]],
    placement: str,
    bootstrap: Bootstrap,
    progress: Progress = iter,
) -> list[RuleEffect]:
    """For each group of people and each rule of a placement, what the rule does to their slates of ten.

    groups: the cases that are asked; their relevant items in the release's own dense ids.
    Raises UnknownId for a placement that is none, WrongInput for one without rules, or beside an item, which no case
    names.
    """
    rules, effects = _rules_of(release, placement), []
    for group, cases in groups.items():
        every = _Asked.of(release, reader, progress(cases), placement, ())
        for rule in rules:
            without = _Asked.of(release, reader, progress(cases), placement, (rule,))
            effects.append(_effect(group, rule, every, without, bootstrap))
    return effects


def effects_in_window(
    bundle: OpenBundle, placement: str, bootstrap: Bootstrap, progress: Progress = iter
) -> list[RuleEffect]:
    """The same of a release as it was measured, asked about the people of its test window.

    Raises as `rule_effects`, and ArtefactError where the bundle carries no window.
    """
    release, window = bundle.load_measured(), MeasuredWindow.load(bundle.folder)
    item_ids = release.catalogue.ids
    reader, groups = window.reader(release.schemas, item_ids), window.cases_for(item_ids, item_ids)
    return rule_effects(release, reader, groups, placement, bootstrap, progress)


def _rules_of(release: Release, placement: str) -> list[str]:
    known = release.request.all_placements
    if placement in known and known[placement].beside_item:
        raise WrongInput(
            f"Placement {placement} stands beside an item, and the test window asks about no page of one.",
            "Look at single slates: `slate preview --item ITEM --without RULE`.",
        )
    rules = place_of(release, RecommendRequest("rules", placement=placement)).placement.rules
    if not rules:
        raise WrongInput(f"Placement {placement} has no rules to try.", "docs/placements.md has what rules can say.")
    return sorted(rules)


@dataclass(frozen=True)
class _Asked:
    """What the cases were shown, dense ids in the order of their places, and each one's NDCG."""

    shown: RaggedItems
    ndcg: PerPerson

    @classmethod
    def of(
        cls,
        release: Release,
        reader: FeatureReader,
        cases: Iterable[EvaluationCase],
        placement: str,
        without: tuple[str, ...],
    ) -> _Asked:
        asked = list(cases)
        shown = RaggedItems.of(_slates(release, reader, asked, placement, without))
        relevant = RaggedItems.of(case.relevant for case in asked)
        return cls(shown, ndcg(Hits.of(shown, relevant), PROMOTION_CUTOFF))


def _slates(
    release: Release, reader: FeatureReader, cases: Sequence[EvaluationCase], placement: str, without: tuple[str, ...]
) -> Iterator[npt.NDArray[np.int32]]:
    """The items of each slate, in the order of the cases."""
    for now, alike in groupby(cases, key=lambda case: case.now):
        for block in batches_of(list(alike), BLOCK):
            with_sessions = SessionReader(reader, sessions_of(block))
            requests = [
                replace(case.request, placement=placement, without_rules=without, k=PROMOTION_CUTOFF) for case in block
            ]
            for slate in answer_many(release, with_sessions, FixedClock(now), requests):
                yield release.catalogue.ids.indices([item.item_id for item in slate.items])


def _effect(group: str, rule: str, every: _Asked, without: _Asked, bootstrap: Bootstrap) -> RuleEffect:
    pairs = [(every.shown[row], without.shown[row]) for row in range(len(every.shown))]
    n_places = max(len(every.shown.item_idx), 1)
    return RuleEffect(
        group=group,
        rule=rule,
        n_slates=len(pairs),
        n_changed=sum(not np.array_equal(ours, theirs) for ours, theirs in pairs),
        share_replaced=sum(int((~np.isin(ours, theirs)).sum()) for ours, theirs in pairs) / n_places,
        ndcg=float(every.ndcg.mean()),
        gain=bootstrap.difference(every.ndcg, without.ndcg, group, rule),
    )
