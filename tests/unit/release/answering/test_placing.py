"""A slate is what its placement says: filters before the best are chosen, rules after; home is as it was before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.clock import FixedClock
from contracts.errors import UnknownId, WrongInput
from contracts.filters import Condition, Operator
from contracts.slates import RecommendRequest, Slate, Surface
from recommender.filters import MOST_FILTERS
from release.answering.placing import MOST_KEPT, Place, place_of
from release.answering.request_path import answer, answer_many
from release.bundle.bundle import Release
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import ITEM_IDS, NOW, made_up_reader, made_up_release

# Twelve items, i10 to i21; the first six are comedies. Who has no history gets them in this order, who has one in the
# reverse order.
DRAMA = '"drama" in categories'
COMEDY = '"comedy" in categories'


def placed(placements: dict[str, Any], **changes: Any) -> Release:
    return with_placements(made_up_release(**changes), placements)


def asked(release: Release, placement: str | None = None, **named: Any) -> Slate:
    request = RecommendRequest("q", placement=placement, **{"k": 5, **named})
    return answer(release, made_up_reader({"u1": ["i10", "i12"]}), FixedClock(NOW), request)


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def test_a_request_that_names_no_placement_gets_home_and_beside_an_item_item() -> None:
    release = made_up_release()
    assert asked(release).placement == "home"
    assert asked(release, surface=Surface.ITEM, item_id="i15").placement == "item"
    assert replace(asked(release, "home"), timings_ms={}) == replace(asked(release), timings_ms={})


def test_the_placement_item_is_the_surface_of_that_name() -> None:
    release = made_up_release()
    assert ids(asked(release, "item", item_id="i15")) == ids(asked(release, surface=Surface.ITEM, item_id="i15"))


def test_a_placement_filters_before_the_best_are_chosen() -> None:
    slate = asked(placed({"cart": {"where": DRAMA}}), "cart")
    assert ids(slate) == ["i16", "i17", "i18", "i19", "i20"]
    assert slate.placement == "cart"


def test_the_request_may_ask_for_less_than_the_placement_lets_through() -> None:
    release = placed({"cart": {"where": DRAMA}})
    asked_for = Condition("categories", Operator.EQUALS, "comedy")
    assert ids(asked(release, "cart", filter=asked_for)) == []


def test_a_block_holds_where_its_condition_on_the_request_does() -> None:
    release = placed({"cart": {"rules": {"calm": {"block": COMEDY, "when": 'context.mood == "calm"'}}}})
    assert ids(asked(release, "cart"))[0] == "i10"
    assert ids(asked(release, "cart", context={"mood": "Calm"}))[0] == "i16"
    assert asked(release, "cart").rules == ()
    assert asked(release, "cart", context={"mood": "calm"}).rules == ("calm",)


def test_a_rule_may_be_for_one_tier() -> None:
    release = placed({"home": {"rules": {"calm": {"block": COMEDY, "when": 'tier == "popular"'}}}})
    assert ids(asked(release))[0] == "i16"
    assert asked(release, user_id="u1").rules == ()


def test_a_boost_moves_scores_by_the_spread_of_the_candidates() -> None:
    plain, moved = (
        asked(placed({"home": {"rules": rules}})) for rules in ({}, {"new": {"boost": DRAMA, "strength": 1.0}})
    )
    assert ids(plain) == ["i10", "i11", "i12", "i13", "i14"]
    assert ids(moved) == ["i16", "i17", "i18", "i19", "i20"]
    assert moved.items[0].rules == ("new",)
    buried = asked(placed({"home": {"rules": {"old": {"bury": COMEDY, "strength": 1.0}}}}))
    assert ids(buried) == ids(moved)


@pytest.mark.parametrize("named", [{}, {"user_id": "u1"}])
def test_a_promotion_takes_its_share_though_nobody_else_would_propose_its_items(named: dict[str, Any]) -> None:
    quotas = {"content": 0, "covisitation": 2, "popular": 0, "popular_recent": 2, "popular_segment": 0}
    rules = {"house": {"promote": '"drama" in categories && release_year >= 1990', "share": 0.4}}
    slate = asked(placed({"home": {"rules": rules}}, quotas=quotas), **named)
    promoted = [item.position for item in slate.items if "house" in item.rules]
    assert promoted == [3, 5]
    assert [item.position for item in slate.items if int(item.item_id[1:]) >= 16] == promoted


def test_a_limit_mixes_what_would_be_all_of_one_kind() -> None:
    rules = {"mixed": {"limit": "each category", "most": 1, "within": 2}}
    slate = asked(placed({"home": {"rules": rules}}), k=6)
    assert ids(slate) == ["i10", "i16", "i11", "i17", "i12", "i18"]


def test_a_pinned_item_stands_where_it_is_pinned_for_everybody() -> None:
    release = placed(
        {"home": {"rules": {"hero": {"pin": 'release_year == 1990 && "drama" in categories', "position": 2}}}}
    )
    for named in ({}, {"user_id": "u1"}, {"context": {"gender": "F"}}):
        slate = asked(release, **named)
        assert slate.items[1].rules == ("hero",)
        assert int(slate.items[1].item_id[1:]) >= 16


def test_a_rule_may_be_left_out_to_see_what_it_does() -> None:
    release = placed({"home": {"rules": {"new": {"boost": DRAMA, "strength": 1.0}, "calm": {"block": DRAMA}}}})
    assert asked(release).rules == ("calm", "new")
    without = asked(release, without_rules=("calm",))
    assert without.rules == ("new",)
    assert ids(without)[0] == "i16"
    assert without.policy_id == "fusion+at-home-without-calm"


def test_parameters_of_the_request_may_be_others_at_a_placement() -> None:
    release = placed({"mail": {"request": {"max_k": 2}}})
    assert len(asked(release, "mail").items) == 2
    assert len(asked(release).items) == 5


def test_of_a_group_of_parameters_one_may_be_another_at_a_placement() -> None:
    release = placed({"mail": {"request": {"quotas": {"content": 1}, "diversity": {"method": "mmr"}}}})
    here = release.at("mail").request
    assert here.quotas == {**release.request.quotas, "content": 1}
    assert here.diversity == release.request.diversity.model_copy(update={"method": "mmr"})
    assert release.at("home") is release
    assert len(asked(release, "mail", user_id="u1").items) == 5


def test_places_are_filled_in_the_order_that_diversity_gives() -> None:
    pin = {"hero": {"pin": DRAMA, "position": 5}}
    diverse = {"request": {"relevance_weight": 0.5}}
    slates = [asked(placed({"home": {**diverse, "rules": rules}})) for rules in ({}, pin)]
    assert ids(slates[0])[:2] == ["i10", "i16"]
    assert [item for item in ids(slates[1]) if item != "i16"] == [item for item in ids(slates[0]) if item != "i16"][:4]


def test_generators_of_a_placement_are_fused_by_their_weights() -> None:
    release = placed({"cart": {"generators": {"covisitation": 1.0, "popular": 0.0001}}})
    slate = asked(release, "cart", user_id="u1", k=3)
    assert slate.policy_id == "fusion+at-cart"
    assert {item.source for item in slate.items[:2]} == {"covisitation"}


def test_the_policy_of_a_plain_placement_has_the_name_of_before() -> None:
    assert asked(made_up_release(), "home").policy_id == "fusion"


def test_who_is_asked_about_together_is_answered_as_alone() -> None:
    rules = {
        "calm": {"block": COMEDY, "when": 'context.mood == "calm"'},
        "house": {"promote": DRAMA, "share": 0.4},
        "mixed": {"limit": "each category", "most": 2, "within": 3},
        "new": {
            "boost": 'release_year >= 1990 && "drama" in categories',
            "strength": 0.3,
            "when": 'tier == "personal"',
        },
        "bold": {"boost": COMEDY, "strength": 0.6, "when": 'context.mood == "bold"'},
    }
    release = placed({"home": {"rules": rules}, "cart": {"where": COMEDY, "rules": rules}})
    reader = made_up_reader({"u1": ["i10", "i12"], "u2": ["i15", "i20", "i21"]})
    requests = [
        RecommendRequest(f"q-{user}-{placement}-{mood}-{k}", user_id=user, placement=placement, context=context, k=k)
        for user in ("u1", "u2", None)
        for placement in (None, "cart", "item")
        for mood, context in (("none", {}), ("calm", {"mood": "calm"}), ("bold", {"mood": "bold"}))
        for k in (3, 5)
    ]
    requests = [replace(one, item_id="i14") if one.placement == "item" else one for one in requests]
    together = answer_many(release, reader, FixedClock(NOW), requests)
    alone = [answer(release, reader, FixedClock(NOW), request) for request in requests]
    assert [replace(slate, timings_ms={}) for slate in together] == [replace(slate, timings_ms={}) for slate in alone]


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        (
            {"placement": "crat"},
            r"no placement 'crat'\.\n  Did you mean 'cart'\? Its placements are home, item, cart",
        ),
        (
            {"placement": "cart", "without_rules": ("nwe",)},
            r"no rule 'nwe' at placement cart\.\n  Did you mean 'new'",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest_one(named: dict[str, Any], problem: str) -> None:
    release = placed({"cart": {"where": DRAMA, "rules": {"new": {"boost": DRAMA, "strength": 1.0}}}})
    with pytest.raises(UnknownId, match=problem):
        asked(release, **named)


def test_an_item_is_named_where_the_placement_stands_beside_one_and_nowhere_else() -> None:
    release = placed({"cart": {"where": DRAMA}})
    with pytest.raises(WrongInput, match="Placement item stands beside an item, and the request names none"):
        asked(release, "item")
    with pytest.raises(WrongInput, match="Placement cart stands beside no item"):
        asked(release, "cart", item_id=ITEM_IDS[0])


def test_more_conditions_than_a_filter_may_have_are_no_error_where_they_come_from_two_sides() -> None:
    many = " || ".join([f"release_year == {year}" for year in range(1980, 2012)])
    release = placed({"cart": {"where": many}})
    assert len(asked(release, "cart", filter=Condition("categories", Operator.EQUALS, "drama")).items) == 5


def here(release: Release, placement: str) -> Place:
    return place_of(release, RecommendRequest("q", placement=placement))


def test_what_a_placement_lets_through_is_kept_whatever_requests_ask_for() -> None:
    place = here(placed({"cart": {"where": DRAMA, "rules": {"hero": {"pin": DRAMA, "position": 1}}}}), "cart")
    through, needed = place.allowed((), None), place.needed(("hero",), None, 5)
    for year in range(MOST_FILTERS + 1):
        place.allowed((), Condition("release_year", Operator.AT_LEAST, float(year)))
    assert place.allowed((), None) is through
    assert place.needed(("hero",), None, 5)[0].items is needed[0].items


def test_a_rule_that_puts_items_there_looks_for_few_of_them() -> None:
    pins = {f"p{number}": {"pin": DRAMA, "position": number + 1} for number in range(12)}
    promoted = {"house": {"promote": DRAMA, "share": 0.2}}
    place = here(placed({"cart": {"rules": {**pins, **promoted}}}), "cart")
    # Of a promotion twice its places, of a pin some to choose from, of thirteen such rules one for each; at most k.
    assert [one.n for one in place.needed(("house",), None, 100)] == [40]
    assert [one.n for one in place.needed(("house", "p0"), None, 20)] == [10, 10]
    assert [one.n for one in place.needed(tuple(sorted([*pins, "house"])), None, 100)] == [40, *[13] * 12]
    assert [one.n for one in place.needed(("house", "p0"), None, 3)] == [3, 3]


def test_as_many_pins_about_the_same_items_are_shown_as_there_are() -> None:
    pins = {f"p{number}": {"pin": DRAMA, "position": number + 1} for number in range(6)}
    assert sorted(ids(asked(placed({"home": {"rules": pins}}), k=6))) == ITEM_IDS[6:]


def test_a_rule_is_compiled_once_and_of_combinations_of_rules_so_many_are_kept() -> None:
    rules = {f"r{number}": {"boost": DRAMA, "strength": 1.0} for number in range(8)}
    place = here(placed({"cart": {"rules": rules}}), "cart")
    (compiled,) = place.rules(("r3",)).boosts
    for combination in range(2**8):
        holding = tuple(name for number, name in enumerate(rules) if combination >> number & 1)
        assert all(boost is compiled for boost in place.rules(holding).boosts if boost.name == "r3")
    assert place._slate_rules.cache_info().currsize == MOST_KEPT


def test_a_block_may_be_as_deep_as_an_expression() -> None:
    blocked = placed({"cart": {"rules": {"calm": {"block": f"{'!(' * 7}{DRAMA}{')' * 7}"}}}})
    assert ids(asked(blocked, "cart"))[0] == "i16"


def test_of_what_is_not_told_no_comparison_holds_and_each_denial_does() -> None:
    rules = {
        "named": {"block": DRAMA, "when": 'context.device == "phone"'},
        "other": {"block": COMEDY, "when": 'context.device != "phone"'},
    }
    release = placed({"cart": {"rules": rules}})
    assert asked(release, "cart").rules == ("other",)
    assert asked(release, "cart", context={"device": "phone"}).rules == ("named",)
