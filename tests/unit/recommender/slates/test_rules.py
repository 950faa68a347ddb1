"""Rules fill places as a slow reading of them does, whatever the candidates; and what each rule promises, it keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.slates.rules import Boost, Limit, Pin, Promotion, SlateRules, boosted, placed

N_ITEMS = 24
CATEGORIES = [["ab"[item % 2], *(["c"] if item % 3 == 0 else [])] for item in range(N_ITEMS)]
CATALOGUE = Catalogue.from_items(
    pl.DataFrame(
        {
            "item_id": [f"i{item:02}" for item in range(N_ITEMS)],
            "title": [""] * N_ITEMS,
            "categories": CATEGORIES,
            "release_year": [None] * N_ITEMS,
            "price": [None] * N_ITEMS,
            "in_stock": [None] * N_ITEMS,
            "attributes": [None] * N_ITEMS,
        },
        schema_overrides={"attributes": pl.String, "in_stock": pl.Boolean},
    )
)


def items(*wanted: int) -> AllowedItems:
    return AllowedItems.of(np.isin(np.arange(N_ITEMS), wanted))


def slate(order: list[int], k: int, rules: SlateRules) -> list[int]:
    item_idx = np.array(order, np.int32)
    offsets, chosen = placed(np.array([0, len(order)]), item_idx, k, rules, CATALOGUE)
    assert offsets.tolist() == [0, len(chosen)]
    return item_idx[chosen].tolist()


def holds(rule: Any, item: int) -> bool:
    return bool(rule.items.contains(np.array([item]))[0])


def groups(limit: Limit, item: int) -> list[str]:
    if limit.items is None:
        return CATEGORIES[item]
    return ["these"] if holds(limit, item) else []


def breaks(limit: Limit, slots: list[int | None], place: int, item: int) -> bool:
    """Whether the item at this place would be one too many in a window that holds it."""
    k, within = len(slots), limit.within or len(slots)
    tried = [*slots[:place], item, *slots[place + 1 :]]
    windows = [
        tried[start : start + within] for start in range(max(1, k - within + 1)) if start <= place < start + within
    ]
    return any(
        sum(one is not None and group in groups(limit, one) for one in window) > limit.most
        for group in groups(limit, item)
        for window in windows
    )


def slowly_placed(order: list[int], k: int, rules: SlateRules) -> list[int]:
    """The docstring of `placed`, word by word."""
    slots: list[int | None] = [None] * k
    n_places = min(k, len(order))
    for pin in rules.pins:
        left = [item for item in order if item not in slots and holds(pin, item)]
        if left and pin.position <= n_places and slots[pin.position - 1] is None:
            slots[pin.position - 1] = left[0]
    for place in range(n_places):
        if slots[place] is not None:
            continue
        taken = {
            rule.name: sum(one is not None and holds(rule, one) for one in slots[:place]) for rule in rules.promotions
        }
        owed = {rule.name for rule in rules.promotions if taken[rule.name] < int((place + 1) * rule.share + 1e-9)}
        classes: dict[int, int] = {}
        for item in order:
            of = [rule for rule in rules.promotions if holds(rule, item)]
            beyond = [rule for rule in of if rule.name not in owed]
            broken = [limit for limit in rules.limits if breaks(limit, slots, place, item)]
            if item in slots or any(rule.strict for rule in [*beyond, *broken]):
                continue
            classes.setdefault(3 if broken else 2 if beyond else -len(of) if of else 1, item)
        if not classes:
            return [one for one in slots[:place] if one is not None]
        slots[place] = classes[min(classes)]
    return [one for one in slots[:n_places] if one is not None]


some_items = st.frozensets(st.integers(0, N_ITEMS - 1), max_size=16).map(lambda wanted: items(*wanted))
shares = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5])
promotions = st.builds(Promotion, st.just(""), some_items, shares, st.booleans())
pins = st.builds(Pin, st.just(""), some_items, st.integers(1, 8))
limits = st.builds(
    Limit, st.just(""), st.none() | some_items, st.integers(1, 4), st.sampled_from([0, 1, 2, 3, 5, 12]), st.booleans()
)


def named(rules: list[Any]) -> tuple[Any, ...]:
    return tuple(replace(rule, name=f"rule-{number}") for number, rule in enumerate(rules))


all_rules = st.builds(
    lambda one, two, three: SlateRules(pins=named(one), promotions=named(two), limits=named(three)),
    st.lists(pins, max_size=3), st.lists(promotions, max_size=3), st.lists(limits, max_size=3),
)  # fmt: skip
orders = st.permutations(range(N_ITEMS)).flatmap(lambda order: st.integers(0, N_ITEMS).map(lambda n: order[:n]))


@given(orders, st.integers(1, 12), all_rules)
@settings(max_examples=120, deadline=None)
def test_places_are_filled_as_the_rules_read(order: list[int], k: int, rules: SlateRules) -> None:
    assert slate(order, k, rules) == slowly_placed(order, k, rules)


@given(st.lists(orders, max_size=4), st.integers(1, 12), all_rules)
@settings(max_examples=30, deadline=None)
def test_a_query_in_a_batch_gets_the_places_that_it_gets_alone(
    rows: list[list[int]], k: int, rules: SlateRules
) -> None:
    item_idx = np.array([item for row in rows for item in row], np.int32)
    bounds = np.cumsum([0, *map(len, rows)])
    offsets, chosen = placed(bounds, item_idx, k, rules, CATALOGUE)
    together = [item_idx[chosen[start:end]].tolist() for start, end in pairwise(offsets)]
    assert together == [slate(row, k, rules) for row in rows]


@given(orders, st.integers(1, 12), some_items, shares)
@settings(max_examples=60, deadline=None)
def test_a_promotion_takes_its_share_of_every_head_and_no_more(
    order: list[int], k: int, promoted: AllowedItems, share: float
) -> None:
    rule = Promotion("sale", promoted, share, strict=True)
    shown = slate(order, k, SlateRules(promotions=(rule,)))
    n_promoted = sum(holds(rule, item) for item in order)
    for n in range(1, len(shown) + 1):
        assert sum(holds(rule, item) for item in shown[:n]) == min(int(n * share + 1e-9), n_promoted)
    others = [item for item in order if not holds(rule, item)]
    assert [item for item in shown if not holds(rule, item)] == others[
        : len(shown) - sum(map(rule.items.contains, np.array(shown, int)))
    ]


@given(st.permutations(range(N_ITEMS)), st.sampled_from(["apart", "one within the other"]), shares, shares)
@settings(max_examples=60, deadline=None)
def test_of_two_promotions_each_has_its_share_of_every_head_or_is_one_late(
    order: list[int], how: str, larger: float, smaller: float
) -> None:
    smaller, larger = sorted([smaller, larger])
    outer, inner = range(8), (range(8, 16) if how == "apart" else range(4))
    both = (
        Promotion("sale", items(*outer), larger, strict=True),
        Promotion("garden", items(*inner), smaller, strict=True),
    )
    shown = slate(order, 8, SlateRules(promotions=both))
    assert len(shown) == 8
    for n in range(1, len(shown) + 1):
        for rule in both:
            due = int(n * rule.share + 1e-9)
            assert due - 1 <= sum(holds(rule, item) for item in shown[:n]) <= due


@given(orders, st.integers(1, 12), limits)
@settings(max_examples=60, deadline=None)
def test_there_are_at_most_so_many_in_every_window_where_the_limit_is_strict(
    order: list[int], k: int, limit: Limit
) -> None:
    shown = slate(order, k, SlateRules(limits=(replace(limit, strict=True),)))
    within = limit.within or k
    for start in range(len(shown)):
        window = [group for item in shown[start : start + within] for group in groups(limit, item)]
        assert all(window.count(group) <= limit.most for group in window)


@given(orders, st.integers(1, 12), all_rules)
@settings(max_examples=40, deadline=None)
def test_there_are_as_many_as_asked_where_no_rule_is_strict(order: list[int], k: int, rules: SlateRules) -> None:
    yielding = replace(
        rules,
        promotions=tuple(replace(rule, strict=False) for rule in rules.promotions),
        limits=tuple(replace(rule, strict=False) for rule in rules.limits),
    )
    shown = slate(order, k, yielding)
    assert len(shown) == min(k, len(order))
    assert len(set(shown)) == len(shown)


def test_three_places_in_ten_are_the_fourth_the_seventh_and_the_last() -> None:
    rules = SlateRules(promotions=(Promotion("sale", items(20, 21, 22, 23), 0.3, strict=False),))
    assert slate(list(range(N_ITEMS)), 10, rules) == [0, 1, 2, 20, 3, 4, 21, 5, 6, 22]


def test_promoted_items_that_are_best_anyway_do_not_take_more_than_their_share() -> None:
    rules = SlateRules(promotions=(Promotion("sale", items(0, 1, 2, 3), 0.2, strict=False),))
    assert slate(list(range(N_ITEMS)), 10, rules) == [4, 5, 6, 7, 0, 8, 9, 10, 11, 1]


def test_a_pinned_item_stands_at_its_place_and_nowhere_else() -> None:
    rules = SlateRules(pins=(Pin("hero", items(5, 9), 2),))
    assert slate([5, 3, 9, 1], 4, rules) == [3, 5, 9, 1]
    assert slate([3, 1], 4, rules) == [3, 1]


def test_what_is_pinned_late_counts_from_its_place_on() -> None:
    rules = SlateRules(
        pins=(Pin("hero", items(20), 10),), promotions=(Promotion("sale", items(*range(12, 24)), 0.5, strict=False),)
    )
    shown = slate(list(range(N_ITEMS)), 10, rules)
    assert [sum(item >= 12 for item in shown[:n]) for n in range(1, 11)] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert shown[9] == 20


def test_of_promotions_within_one_another_the_inner_one_has_its_items() -> None:
    garden = Promotion("garden", items(20, 21), 0.2, strict=False)
    sale = Promotion("sale", items(*range(16, 22)), 0.5, strict=False)
    shown = slate(list(range(N_ITEMS)), 10, SlateRules(promotions=(garden, sale)))
    assert shown == [0, 16, 1, 17, 2, 20, 3, 18, 4, 21]


def test_a_slate_that_a_strict_rule_ends_does_not_show_what_is_pinned_behind() -> None:
    rules = SlateRules(
        pins=(Pin("hero", items(9), 5),), promotions=(Promotion("sale", items(2, 3, 5), 0.5, strict=True),)
    )
    assert slate([1, 2, 3, 5, 9], 6, rules) == [1, 2]


def test_a_limit_looks_ahead_to_what_is_pinned() -> None:
    rules = SlateRules(pins=(Pin("hero", items(2), 3),), limits=(Limit("mixed", items(0, 2, 4), 1, 3, strict=False),))
    assert slate([0, 1, 2, 3, 5, 7, 4], 5, rules) == [1, 3, 2, 5, 7]


def test_a_share_is_what_was_written_and_not_what_binary_numbers_make_of_it() -> None:
    promoted = Promotion("sale", items(20, 21), 1 - 0.9, strict=False)  # 0.09999999999999998
    assert slate(list(range(N_ITEMS)), 10, SlateRules(promotions=(promoted,)))[-1] == 20


def test_at_most_one_of_a_category_in_two_places_takes_turns() -> None:
    rules = SlateRules(limits=(Limit("mixed", items(0, 2, 4, 6), 1, 2, strict=False),))
    assert slate([0, 2, 4, 6, 1, 3], 6, rules) == [0, 1, 2, 3, 4, 6]


def test_a_boost_is_a_share_of_the_spread_of_a_querys_own_scores() -> None:
    scores = np.array([1.0, 0.5, 0.0, 40.0, 20.0, 7.0], np.float32)
    boosts = (Boost("new", items(1, 4), 0.5), Boost("old", items(4), -0.25))
    moved = boosted(scores, np.array([0, 3, 5, 5, 6]), np.array([0, 1, 2, 3, 4, 5], np.int32), boosts)
    assert moved.tolist() == [1.0, 0.5 + 0.5 * 1, 0.0, 40.0, 20 + (0.5 - 0.25) * 20, 7.0]
    assert moved.dtype == np.float32


def test_no_boost_changes_no_score() -> None:
    scores = np.array([1.0, 0.5], np.float32)
    assert boosted(scores, np.array([0, 2]), np.array([0, 1], np.int32), ()) is scores


def test_rules_name_what_they_moved() -> None:
    rules = SlateRules(
        boosts=(Boost("new", items(1), 0.5),),
        pins=(Pin("hero", items(1, 2), 2),),
        promotions=(Promotion("sale", items(3), 0.5, strict=False),),
    )
    assert rules.names_of(np.array([1, 2, 3], np.int32), np.array([1, 2, 3])) == [("new",), ("hero",), ("sale",)]


@pytest.mark.parametrize("rules", [SlateRules(), SlateRules(boosts=(Boost("new", items(1), 0.5),))])
def test_boosts_alone_leave_places_to_the_order(rules: SlateRules) -> None:
    assert not rules.fills_places
