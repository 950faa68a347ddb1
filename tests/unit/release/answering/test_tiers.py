from __future__ import annotations

import numpy as np
import pytest

from contracts.features import History
from contracts.slates import Surface, Tier
from recommender.candidates import CandidateSet
from recommender.query import RetrievalQuery
from recommender.ragged import RaggedItems
from release.answering.tiers import FILLER_WEIGHT, Scorer, fuse_by_rank, identify_tier, plan_for, plan_quotas


def query(n_events: int = 0, **told: object) -> RetrievalQuery:
    history = History.without_types(
        np.arange(n_events, dtype=np.int32), np.arange(n_events, dtype=np.int64), np.ones(n_events, np.float32)
    )
    return RetrievalQuery(now=100, history=history, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n_events", "has_account", "tier"),
    [
        (5, True, Tier.PERSONAL),
        (4, True, Tier.SESSION),
        (1, True, Tier.SESSION),
        (0, True, Tier.POPULAR),
        (5, False, Tier.SESSION),
        (50, False, Tier.SESSION),
    ],
)
def test_events_decide_the_tier_and_an_anonymous_visitor_stays_a_session(
    n_events: int, has_account: bool, tier: Tier
) -> None:
    assert identify_tier(query(n_events), has_account=has_account, personal_min_events=5) is tier


def test_deeds_come_before_statements_and_statements_before_circumstances() -> None:
    stated = {"preferred_items": np.array([3], np.int32), "segment": {"gender": "F"}}

    def tier(known: RetrievalQuery) -> Tier:
        return identify_tier(known, has_account=False, personal_min_events=5)

    assert tier(query(1, **stated)) is Tier.SESSION
    assert tier(query(0, **stated)) is Tier.ONBOARDED
    assert tier(query(0, segment={"gender": "F"})) is Tier.CONTEXTUAL
    assert tier(query(0, preferred_categories=np.array([0, 1], np.float32))) is Tier.ONBOARDED
    assert tier(query(0, preferred_categories=np.zeros(2, np.float32))) is Tier.POPULAR


def test_only_tiers_with_history_are_ranked_and_an_items_page_never_is() -> None:
    ranked = {tier for tier in Tier if plan_for(tier, Surface.HOME).scorer is Scorer.RANKER}
    assert ranked == {Tier.PERSONAL, Tier.SESSION}
    assert {plan_for(tier, Surface.ITEM).scorer for tier in Tier} == {Scorer.FUSION}


def test_a_ranked_tier_asks_by_quota_and_another_for_a_whole_slate_at_least() -> None:
    quotas = {"popular": 5, "popular_recent": 30, "als": 7}
    assert plan_quotas(plan_for(Tier.PERSONAL, Surface.HOME), quotas, 20) == quotas
    assert plan_quotas(plan_for(Tier.POPULAR, Surface.HOME), quotas, 20) == {"popular_recent": 30, "popular": 20}


def candidates() -> CandidateSet:
    """Three items: the first proposed second and first, the second first and never, the third never and second."""
    ranks = np.array([[2, 1], [1, 11], [11, 2]], np.float32)
    return CandidateSet(
        RaggedItems.of([np.arange(3, dtype=np.int32)]),
        ranks,
        ranks,
        ranks < 11,
        np.array([1, 0, 1], np.int32),
        ("als", "popular"),
    )


def test_fusion_sums_the_weighted_reciprocal_ranks() -> None:
    assert fuse_by_rank(candidates(), None).scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    weights = {"als": 2.0, "popular": 0.5}
    assert fuse_by_rank(candidates(), weights).scores == pytest.approx([2 / 62 + 0.5 / 61, 2 / 61, 0.5 / 62])


def test_the_source_of_a_fused_item_is_the_generator_that_did_most_for_it() -> None:
    assert fuse_by_rank(candidates(), None).sources.tolist() == [1, 0, 1]
    assert fuse_by_rank(candidates(), {"als": 2.0, "popular": 0.5}).sources.tolist() == [0, 0, 1]


def test_a_filler_never_overtakes_what_was_proposed_for_a_reason() -> None:
    best_filler, worst_proposal = FILLER_WEIGHT / (60 + 1), 0.5 / (60 + 5000)  # 5000: the largest quota allowed
    assert best_filler < worst_proposal
