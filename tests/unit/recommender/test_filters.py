"""Which items a filter lets through: against a reading of the items table row by row, and with errors that help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UnknownId, WrongInput
from contracts.filters import LARGEST_NUMBER, AllOf, AnyOf, Condition, Filter, Not, Operator, filter_of
from contracts.tables import ITEMS_SCHEMA
from recommender import filters
from recommender.allowed_items import FIRST_WALK, AllowedItems
from recommender.catalogue import Catalogue
from recommender.filters import CatalogueFilters

N_ITEMS = 37  # no whole number of bytes
COLOURS, KINDS = ("Red", "red", "blue", "grün"), ("shoes", "Boots", "hats")


@cache
def items() -> list[dict[str, Any]]:
    rng = np.random.default_rng(4)

    def one_of(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    rows = []
    for item in range(N_ITEMS):
        attributes = {
            "colour": one_of(None, *COLOURS),
            "weight": one_of(None, 0.5, 1.0, 9.99),
            "vegan": one_of(None, True, False),
        }
        told = {name: value for name, value in attributes.items() if value is not None}
        rows.append(
            {
                "item_id": f"i{100 + item}",
                "categories": [kind for kind in KINDS if rng.random() < 0.4],
                "price": one_of(None, 5.0, 9.99, 20.0),
                "release_year": one_of(None, 1990, 2000),
                "in_stock": one_of(None, True, False),
                "attributes": json.dumps(told) if told else None,
            }
        )
    return rows


@cache
def catalogue() -> Catalogue:
    return Catalogue.from_items(pl.DataFrame(items(), schema=ITEMS_SCHEMA))


@cache
def compiled() -> CatalogueFilters:
    return CatalogueFilters(catalogue(), "r-1")


def allowed(wanted: Filter | Mapping[str, Any]) -> AllowedItems:
    found = compiled().allowed(filter_of(wanted) if isinstance(wanted, Mapping) else wanted)
    assert found is not None
    return found


def holds(wanted: Filter, item: Mapping[str, Any]) -> bool:
    """The slow oracle: one item at a time, out of its row of the table."""
    match wanted:
        case AllOf(parts):
            return all(holds(part, item) for part in parts)
        case AnyOf(parts):
            return any(holds(part, item) for part in parts)
        case Not(part):
            return not holds(part, item)
        case Condition(field, operator, value):
            attributes = json.loads(item["attributes"] or "{}")
            here = {**item, **{f"attributes.{name}": one for name, one in attributes.items()}}.get(field)
            here = [True if here is None and field == "in_stock" else here] if field != "categories" else here
            return any(one is not None and compares(one, operator, value) for one in here)


def compares(here: Any, operator: Operator, value: Any) -> bool:
    if operator is Operator.AT_LEAST:
        return bool(here >= value)
    if operator is Operator.AT_MOST:
        return bool(here <= value)
    wanted = value if isinstance(value, tuple) else (value,)
    return folded(here) in [folded(one) for one in wanted]


def folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def conditions(field: str, values: st.SearchStrategy[Any], *, ordered: bool = False) -> st.SearchStrategy[Condition]:
    several = st.lists(values, min_size=1, max_size=3).map(tuple)
    kinds = [
        st.builds(Condition, st.just(field), st.just(Operator.EQUALS), values),
        st.builds(Condition, st.just(field), st.just(Operator.IN), several),
    ]
    bounds = st.sampled_from([Operator.AT_LEAST, Operator.AT_MOST])
    return st.one_of(*kinds, *([st.builds(Condition, st.just(field), bounds, values)] if ordered else []))


ANY_CONDITION = st.one_of(
    conditions("categories", st.sampled_from(["SHOES", "hats", "none"])),
    conditions("attributes.colour", st.sampled_from(["RED", "blue", "GRÜN", "none"])),
    conditions("price", st.sampled_from([5.0, 9.99, 10.0]), ordered=True),
    conditions("release_year", st.sampled_from([1990.0, 1995.0]), ordered=True),
    conditions("attributes.weight", st.sampled_from([0.5, 9.99, 3.0]), ordered=True),
    conditions("in_stock", st.booleans()),
    conditions("attributes.vegan", st.booleans()),
)
ANY_FILTER = st.recursive(
    ANY_CONDITION,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda several: AllOf(tuple(several))),
        st.lists(parts, min_size=1, max_size=3).map(lambda several: AnyOf(tuple(several))),
        st.builds(Not, parts),
    ),
    max_leaves=5,
)


@given(ANY_FILTER)
def test_a_filter_lets_through_what_a_look_at_each_row_lets_through(wanted: Filter) -> None:
    expected = [item for item, row in enumerate(items()) if holds(wanted, row)]
    found = allowed(wanted)
    assert found.item_idx.tolist() == expected
    assert found.n_allowed == len(expected)
    assert np.flatnonzero(found.contains(np.arange(N_ITEMS))).tolist() == expected


def test_an_item_of_which_no_stock_is_known_counts_as_in_stock() -> None:
    in_stock = allowed({"field": "in_stock", "operator": "equals", "value": True})
    assert in_stock.n_allowed == sum(row["in_stock"] is not False for row in items())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("price", "cheap", "price is number, and is compared by `equals` with 'cheap'"),
        ("price", True, "price is number, and is compared by `equals` with True"),
        ("in_stock", 1.0, "in_stock is true or false, and is compared by `equals` with 1.0"),
        ("attributes.colour", 3.0, "attributes.colour is text, and is compared by `equals` with 3.0"),
        ("categories", 3.0, "categories is text"),
    ],
)
def test_a_value_of_another_type_is_refused_with_both(field: str, value: Any, message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        allowed(Condition(field, Operator.EQUALS, value))


def test_true_and_one_are_two_conditions_though_python_calls_them_equal() -> None:
    allowed(Condition("attributes.vegan", Operator.EQUALS, value=True))
    with pytest.raises(WrongInput, match=r"attributes.vegan is true or false"):
        allowed(Condition("attributes.vegan", Operator.EQUALS, 1.0))


def test_a_bound_past_the_largest_number_of_a_column_is_past_every_value() -> None:
    priced = allowed(Condition("price", Operator.AT_LEAST, 0.0))
    assert np.array_equal(allowed(Condition("price", Operator.AT_MOST, LARGEST_NUMBER)).bits, priced.bits)
    assert not allowed(Condition("price", Operator.AT_LEAST, LARGEST_NUMBER)).bits.any()


def test_a_text_has_no_bounds() -> None:
    with pytest.raises(WrongInput, match="compared by `at_least`"):
        allowed(Condition("attributes.colour", Operator.AT_LEAST, 3.0))


def test_an_unknown_field_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownId, match=r"Release r-1 has no field 'attributes\.color'") as refusal:
        allowed(Condition("attributes.color", Operator.EQUALS, "red"))
    assert refusal.value.next_step == (
        "Did you mean 'attributes.colour'? Its fields are categories (text), price (number), release_year (number), "
        "in_stock (true or false), attributes.colour (text), attributes.vegan (true or false), "
        "attributes.weight (number)."
    )


def test_what_a_catalogue_says_nothing_of_is_no_field() -> None:
    nothing = np.full(N_ITEMS, np.nan, np.float32)
    bare = replace(catalogue(), price=nothing, release_year=nothing, attributes={})
    assert list(CatalogueFilters(bare, "r-1").fields) == ["categories", "in_stock"]


def test_however_many_conditions_a_filter_has_it_takes_one_place_of_those_that_are_kept() -> None:
    fresh, cheap = CatalogueFilters(catalogue(), "r-1"), Condition("price", Operator.AT_MOST, 10.0)
    kept = fresh.allowed(cheap)
    for first in (0, 32):
        years = tuple(Condition("release_year", Operator.AT_LEAST, float(year)) for year in range(first, first + 32))
        fresh.allowed(AllOf(years))
    assert fresh.allowed(cheap) is kept


def test_a_condition_is_evaluated_once_for_all_filters_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Condition] = []
    numbers = filters._Numbers
    kept = numbers.mask

    def counted(self: Any, condition: Condition) -> Any:
        asked.append(condition)
        return kept(self, condition)

    monkeypatch.setattr(numbers, "mask", counted)
    fresh = CatalogueFilters(catalogue(), "r-1")
    cheap = Condition("price", Operator.AT_MOST, 10.0)
    one = fresh.allowed(cheap)
    assert fresh.allowed(Condition("price", Operator.AT_MOST, 10.0)) is one
    fresh.allowed(Not(cheap))
    fresh.allowed(AnyOf((cheap, Condition("in_stock", Operator.EQUALS, value=True))))
    assert asked == [cheap]


@given(st.data())
def test_the_first_of_a_list_are_those_of_a_walk_from_its_beginning(data: st.DataObject) -> None:
    n_items = 3 * FIRST_WALK
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    mask = rng.random(n_items) < data.draw(st.sampled_from([0.0, 0.0005, 0.3, 1.0]))
    ordered = rng.permutation(n_items).astype(np.int32)[: data.draw(st.integers(0, n_items))]
    n = data.draw(st.integers(0, 50))
    expected = [item for item in ordered.tolist() if mask[item]][:n]
    assert AllowedItems.of(mask).first_of(ordered, n).tolist() == expected


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("attributes.farbton", None),  # nothing is like it but by the prefix
        ("attributes.color", "attributes.colour"),
        ("colour", "attributes.colour"),
        ("attributes.price", "price"),
        ("prise", "price"),
    ],
)
def test_a_field_that_is_meant_is_looked_for_by_what_comes_after_the_prefix(asked: str, meant: str | None) -> None:
    with pytest.raises(UnknownId) as error:
        allowed(Condition(asked, Operator.EQUALS, "red"))
    assert error.value.next_step.startswith(f"Did you mean {meant!r}? " if meant else "Its fields are ")
