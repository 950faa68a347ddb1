"""Everything about one answer: its numbers add up, and what removed each candidate is told."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.releases.why import _text
from contracts.clock import FixedClock
from contracts.filters import Condition, Operator
from contracts.slates import RecommendRequest
from release.answering.request_path import answer_many
from release.replay.account import AnswerRecorder, account_of
from release.replay.replay import Answerer
from tests.placed_releases import with_placements

BUNDLE = Path("tests/golden/bundle_v6")
K = 5

CART = {
    "where": "release_year >= 1980",
    "rules": {
        "dramas": {"boost": '"drama" in categories', "strength": 0.5},
        "horror": {"bury": '"horror" in categories', "strength": 0.25},
        "no-action": {"block": '"action" in categories', "when": 'tier != "popular"'},
        "first": {"pin": '"comedy" in categories', "position": 1},
    },
}


@cache
def answerer() -> Answerer:
    return Answerer.of(BUNDLE, BUNDLE / "values")


def account(
    rules: dict[str, Any] | None = None, placements: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    ruled = answerer().release.with_rules(**(rules or {}))
    release = with_placements(ruled, placements) if placements else ruled
    noted, request = AnswerRecorder(), RecommendRequest("q", **{"user_id": "u503", "k": K, "explain": True, **fields})
    (slate,) = answer_many(release, answerer().reader, FixedClock(release.as_of), [request], noted)
    return account_of(release, request, slate, noted)


def test_the_numbers_of_an_item_sum_to_its_score() -> None:
    for item in account()["items"]:
        assert item["base"] + sum(item["groups"].values()) == pytest.approx(item["score"], abs=1e-7)
        assert item["base"] + sum(one["added"] for one in item["features"]) == pytest.approx(item["score"], abs=1e-7)


def test_every_proposal_is_shown_or_told_what_removed_it() -> None:
    told = account()
    assert len(told["generators"]) == len(answerer().release.generators)
    for one in told["generators"]:
        assert one["proposed"] == one["not_ranked"] + one["ranked_below"] + one["shown"] <= one["quota"]
    assert any(one["excluded"] for one in told["generators"])
    assert all(one["filtered"] == 0 for one in told["generators"])
    proposers = [name for item in told["items"] for name in item["proposed_by"]]
    assert sum(one["shown"] for one in told["generators"]) == len(proposers)


def test_what_a_filter_removes_is_told_from_what_is_excluded() -> None:
    wanted = Condition("release_year", Operator.AT_LEAST, 1988.0)
    told = account(filter=wanted)
    assert any(one["filtered"] for one in told["generators"])
    assert told["rules"]["filter"] == '{"field":"release_year","operator":"at_least","value":1988.0}'


def test_what_is_not_ranked_for_want_of_room_is_told() -> None:
    assert sum(one["not_ranked"] for one in account({"n_ranked": 3}, k=2)["generators"]) > 0


def test_what_diversity_moves_has_another_place_by_score() -> None:
    items = account({"relevance_weight": 0.3})["items"]
    assert [item["position"] for item in items] == list(range(1, K + 1))
    assert any(item["place_by_score"] != item["position"] for item in items)
    assert all(item["place_by_score"] == item["position"] for item in account()["items"])


def test_where_ranks_are_fused_the_places_make_the_score() -> None:
    for item in account(user_id=None)["items"]:
        added = sum(told["added"] for told in item["proposed_by"].values())
        assert added == pytest.approx(item["score"], rel=1e-6)
        assert "groups" not in item


def test_features_are_told_with_their_ages_and_defaults_as_such() -> None:
    told = account()
    row = {one["name"]: one for one in told["items"][0]["row"]}
    assert row.keys() == set(answerer().release.schemas.item.names)
    assert all((one["age_days"] is None) == one["is_default"] for one in row.values())
    assert told["person"]["known"]
    assert told["person"]["history_events"] > 0


def test_the_words_tell_each_item_with_its_score_its_reasons_and_its_sum() -> None:
    told = {"arm": "production", "is_as_logged": True, "logged_degraded": [], **account()}
    text = _text(told)
    assert "the answer is as logged, byte for byte" in text
    for item in told["items"]:
        assert f"{item['position']}. {item['title']} ({item['item_id']}): score {item['score']:.4f}" in text
        assert all(reason in text for reason in item["reasons"])
    assert text.count("score = base") == K


def test_the_rules_of_a_placement_are_told_with_what_they_say() -> None:
    told = account(placements={"cart": CART}, placement="cart")["rules"]
    assert (told["placement"], told["where"]) == ("cart", "release_year >= 1980")
    assert told["of_placement"] == [
        {"name": "dramas", "does": "boost", "items": '"drama" in categories', "options": {"strength": 0.5}},
        {"name": "first", "does": "pin", "items": '"comedy" in categories', "options": {"position": 1}},
        {"name": "horror", "does": "bury", "items": '"horror" in categories', "options": {"strength": 0.25}},
        {
            "name": "no-action",
            "does": "block",
            "items": '"action" in categories',
            "options": {},
            "when": 'tier != "popular"',
        },
    ]


@pytest.mark.parametrize("user_id", ["u503", None])  # ranked, and fused
def test_what_boosts_add_is_told_apart_and_makes_up_the_score(user_id: str | None) -> None:
    told = account(placements={"cart": CART}, placement="cart", user_id=user_id)
    moved = [item for item in told["items"] if item["boosts"]]
    assert moved
    for item in told["items"]:
        own = sum(one.get("added", 0) for one in item["proposed_by"].values())
        if "groups" in item:
            own = item["base"] + sum(item["groups"].values())
        assert own + sum(item["boosts"].values()) == pytest.approx(item["score"], abs=1e-6)
        assert set(item["boosts"]) <= set(item["rules"])
        assert all((added > 0) == (name == "dramas") for name, added in item["boosts"].items())


def test_a_place_by_score_is_that_before_rules_and_what_boosts_make_of_it_stands_beside() -> None:
    without = {item["item_id"]: item["place_by_score"] for item in account(k=16)["items"]}
    boosted = {"cart": {"rules": {"dramas": CART["rules"]["dramas"]}}}
    items = account(placements=boosted, placement="cart", k=16)["items"]
    assert {item["item_id"]: item["place_by_score"] for item in items} == without
    assert [item["place_after_boosts"] for item in items] == [item["position"] for item in items]
    assert any(item["place_after_boosts"] < item["place_by_score"] for item in items if item["boosts"])


def test_what_was_looked_for_because_of_a_rule_is_counted_beside_the_generators() -> None:
    few = {"quotas": {**dict.fromkeys(answerer().release.quotas, 0), "popular": 2}}
    late = {"rules": {"late": {"pin": "release_year >= 1994", "position": 1}}}
    told = account(few, {"cart": late}, placement="cart", k=3)
    assert told["items"][0]["rules"] == ["late"]
    assert told["by_rules"] == {"proposed": 1, "not_ranked": 0, "ranked_below": 0, "shown": 1}
    assert sum(one["shown"] for one in told["generators"]) == len(told["items"]) - 1
    assert account(few)["by_rules"]["proposed"] == 0
    assert "\nby rules " in words(told)
    assert "by rules" not in words(account(few))


def words(told: dict[str, Any]) -> str:
    return _text({"arm": "production", "is_as_logged": True, "logged_degraded": [], **told})


def test_the_words_name_the_placement_its_rules_and_what_each_did() -> None:
    told = account(placements={"cart": CART}, placement="cart")
    text = words(told)
    assert text.splitlines()[0].startswith("request q of u503, cart, k 5, at ")
    assert "placement cart: where release_year >= 1980; rules that held:" in text
    assert '  no-action: block "action" in categories, when tier != "popular"' in text
    assert '  first: pin "comedy" in categories, position 1' in text
    for item in told["items"]:
        assert all(f", rule {name} {added:+.4f}" in text for name, added in item["boosts"].items())
    assert "   rules first" in text


def test_a_fused_score_is_told_where_a_rule_moved_it() -> None:
    told = account(placements={"cart": CART}, placement="cart", user_id=None)
    assert words(told).count("score = ranks fused ") == sum(bool(item["boosts"]) for item in told["items"]) > 0


def test_nothing_noted_is_no_account() -> None:
    release = answerer().release
    request = RecommendRequest("q")
    (slate,) = answer_many(release, answerer().reader, FixedClock(release.as_of), [request])
    with pytest.raises(ValueError, match="nothing was noted of request 'q'"):
        account_of(release, request, replace(slate), AnswerRecorder())
    assert np.isfinite([item.score for item in slate.items]).all()
