"""Answers under load: fewer candidates, and what is popular; each says so, and nobody can take it for the usual one."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.clock import FixedClock
from contracts.filters import Condition, Operator
from contracts.slates import Preferences, RecommendRequest, Slate, Surface, Tier
from release.bundle.bundle import Release
from serving.served import Arm, Served
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import ITEM_IDS, NOW, AwayReader, made_up_reader, made_up_release

HISTORIES = {"u1": ["i10", "i11", "i12"]}


def served(release: Release | None = None, reader: Any = None, **fields: Any) -> Served:
    reader = reader or made_up_reader(HISTORIES)
    return Served(Arm.PRODUCTION, release or made_up_release(), reader, FixedClock(NOW), online=True, **fields)


def shown(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def popular(one: Served | None = None, **fields: Any) -> Slate:
    return (one or served()).popular(RecommendRequest("q", **{"k": 3, **fields}))


def test_of_fewer_candidates_a_slate_is_made_as_ever_and_says_so() -> None:
    full, lighter = (one.answer(RecommendRequest("q", "u1", k=3)) for one in (served(), served().lighter))
    assert (full.degraded, full.policy_id) == ((), "ranker")
    assert (lighter.degraded, lighter.policy_id) == (("candidates",), "ranker+fewer-candidates")
    assert lighter.tier is Tier.PERSONAL
    assert len(lighter.items) == 3
    assert not set(shown(lighter)) & set(HISTORIES["u1"])


def test_a_fifth_is_ranked_of_the_same_release() -> None:
    fewer = served(made_up_release(n_ranked=61)).lighter
    assert fewer.release.request.n_ranked == 13  # 12.2, rounded up
    assert fewer.release_id == served().release_id


def test_a_fifth_is_ranked_at_a_placement_that_ranks_as_many_as_it_says() -> None:
    own = {"cart": {"request": {"n_ranked": 400}}, "mail": {"request": {"max_k": 3}}}
    few, fewest = (
        served(with_placements(made_up_release(n_ranked=n_ranked), own)).lighter.release for n_ranked in (100, 11)
    )
    assert [few.at(name).request.n_ranked for name in ("home", "cart", "mail")] == [20, 80, 20]
    # Not fewer than a release may be set to.
    assert [fewest.at(name).request.n_ranked for name in ("home", "cart", "mail")] == [10, 80, 10]


def test_a_slate_longer_than_so_few_candidates_is_as_long_as_asked() -> None:
    few = served(made_up_release(n_ranked=10)).lighter
    assert [len(few.answer(RecommendRequest("q", k=k)).items) for k in (2, 12)] == [2, 12]


def test_what_is_popular_is_what_somebody_unknown_gets() -> None:
    unknown = served().answer(RecommendRequest("q", k=3))
    slate = popular(user_id="u1", explain=True)
    assert shown(slate) == shown(unknown)
    assert [item.position for item in slate.items] == [1, 2, 3]
    assert all(item.reasons for item in slate.items)
    assert all(item.propensity == 1.0 for item in slate.items)
    assert (slate.degraded, slate.policy_id, slate.tier) == (("person",), "popular", Tier.POPULAR)
    assert {item.reasons for item in popular().items} == {()}


def test_what_a_request_names_is_left_out_of_what_is_popular_and_what_the_person_did_is_not_looked_at() -> None:
    first, second, third, *others = shown(popular(k=20))
    beside = popular(surface=Surface.ITEM, item_id=first, preferences=Preferences(item_ids=(third,)))
    assert shown(beside) == [second, *others[:2]]
    assert set(shown(popular(user_id="u1", k=20))) & set(HISTORIES["u1"])


def test_a_filter_holds_for_what_is_popular_and_its_slate_is_made_once() -> None:
    one, drama = served(), Condition("categories", Operator.EQUALS, "drama")
    in_order = [item.item_id for item in popular(one, k=20).items]
    slate = popular(one, k=20, filter=drama)
    allowed = one.release.filters.allowed(drama)
    assert allowed is not None
    passing = {ITEM_IDS[item] for item in allowed.item_idx.tolist()}
    assert shown(slate) == [item_id for item_id in in_order if item_id in passing]
    assert 0 < len(slate.items) < len(in_order)
    assert popular(one, k=20, filter=drama).items == slate.items
    assert one.lighter.release.filters is one.release.filters


def test_the_longest_slate_is_whole_whatever_it_leaves_out() -> None:
    one = served(made_up_release(max_k=5))
    liked = tuple(shown(popular(one, k=5)))
    assert len(popular(one, k=5, preferences=Preferences(item_ids=liked)).items) == 5
    assert len(popular(k=500).items) == len(ITEM_IDS)


def test_what_is_popular_is_made_without_the_store_and_without_exploration() -> None:
    away = AwayReader(made_up_reader(HISTORIES))
    explored = served(made_up_release(exploration_share=0.5), away, missing=("sessions",))
    slate = popular(explored)
    assert shown(slate) == shown(popular())
    assert slate.degraded == ("person", "sessions")


@pytest.mark.parametrize("count", ["popular_slate", "lighter"])
def test_what_is_lighter_is_made_once(count: str) -> None:
    one = served()
    assert getattr(one, count) is getattr(one, count)


def test_of_a_placement_its_filters_and_blocks_hold_though_nobody_is_looked_at() -> None:
    rules = {
        "calm": {"block": '"drama" in categories', "when": 'context.mood == "calm"'},
        "house": {"promote": '"drama" in categories', "share": 0.5},
    }
    one = served(with_placements(made_up_release(), {"cart": {"where": "release_year >= 1990", "rules": rules}}))
    lively, calm = (popular(one, k=8, placement="cart", context=context) for context in ({}, {"mood": "calm"}))
    assert shown(lively) == ITEM_IDS[:8]  # as popular as they are: nothing is promoted
    assert shown(calm) == ITEM_IDS[:6]
    assert calm.placement == "cart"
    assert (lively.rules, calm.rules) == ((), ("calm",))


def test_a_slate_of_what_is_popular_is_as_long_as_its_placement_lets_it_be() -> None:
    lengths = {"cart": {"request": {"max_k": 2}}, "mail": {"request": {"max_k": 12}}}
    one = served(with_placements(made_up_release(max_k=5), lengths))
    asked = [(None, 5), ("cart", 5), ("mail", 12)]
    assert [len(popular(one, placement=placement, k=k).items) for placement, k in asked] == [5, 2, 12]


def test_a_rule_of_home_is_no_rule_of_what_is_popular_elsewhere() -> None:
    home = {"home": {"where": '"drama" in categories'}, "cart": {"where": '"comedy" in categories'}}
    one = served(with_placements(made_up_release(), home))
    assert shown(popular(one, placement="cart")) == ITEM_IDS[:3]
    assert shown(popular(one)) == ITEM_IDS[6:9]
