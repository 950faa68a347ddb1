"""A filter is read from JSON with every mistake named at its place, and written as it was read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import WrongInput
from contracts.filters import MOST_CONDITIONS, MOST_DEPTH, MOST_VALUES, AllOf, Condition, Not, Operator, filter_of
from contracts.slates import RecommendRequest

CHEAP = {"field": "price", "operator": "at_most", "value": 50}
RED = {"field": "attributes.colour", "operator": "in", "value": ["red", "blue"]}


def condition(**changes: Any) -> dict[str, Any]:
    return {**CHEAP, **changes}


def test_a_filter_is_typed() -> None:
    assert filter_of({"all": [CHEAP, {"not": RED}]}) == AllOf(
        (
            Condition("price", Operator.AT_MOST, 50.0),
            Not(Condition("attributes.colour", Operator.IN, ("red", "blue"))),
        )
    )


def nested(depth: int) -> dict[str, Any]:
    return CHEAP if depth == 1 else {"not": nested(depth - 1)}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "filter is None; expected a condition"),
        ([CHEAP], "filter is [{'field': 'price'"),
        ({}, "filter has the keys []; expected a condition"),
        ({"all": [CHEAP], "any": [CHEAP]}, "filter has the keys ['all', 'any']"),
        ({"field": "price", "at_most": 50}, "filter has the keys ['at_most', 'field']"),
        ({"all": []}, "filter.all is []; expected a list of at least one filter"),
        ({"any": CHEAP}, "filter.any is {'field'"),
        ({"all": [CHEAP, {"not": 3}]}, "filter.all[1].not is 3; expected a condition"),
        (condition(field=7), "filter.field is 7; expected the name of a field"),
        (condition(field=""), "filter.field is ''"),
        (condition(operator="below"), "filter.operator is 'below'; expected one of equals, in, at_least, at_most"),
        (condition(operator=["in"]), "filter.operator is ['in']"),
        (condition(value="cheap"), "filter.value is 'cheap'; `at_most` takes a number"),
        (condition(value=True), "filter.value is True; `at_most` takes a number"),
        (condition(value=float("nan")), "filter.value is nan; expected a text"),
        (condition(value=10**400), "filter.value is 1000"),
        (condition(operator="equals", value=None), "filter.value is None; expected a text"),
        (condition(operator="equals", value="x" * 257), "of at most 256 whole characters"),
        (condition(operator="equals", value="\ud800"), "filter.value is '\\ud800'; expected a text"),
        (condition(operator="in", value=["red", "\ud800"]), "filter.value[1] is '\\ud800'; expected a text"),
        (condition(field="\ud800"), "filter.field is '\\ud800'; expected the name of a field"),
        (condition(operator="in", value="red"), "filter.value is 'red'; `in` takes a list"),
        (condition(operator="in", value=[]), "`in` takes a list of 1 to 100 values"),
        (condition(operator="in", value=["x"] * (MOST_VALUES + 1)), "`in` takes a list of 1 to 100 values"),
        (condition(operator="in", value=["red", ["blue"]]), "filter.value[1] is ['blue']"),
        ({"any": [CHEAP] * (MOST_CONDITIONS + 1)}, f"filter.any[{MOST_CONDITIONS}] is one condition too many"),
        (nested(MOST_DEPTH + 1), "is deeper than 8 filters within each other"),
    ],
)
def test_what_is_no_filter_is_refused_at_its_place(value: Any, problem: str) -> None:
    with pytest.raises(WrongInput, match=re.escape(problem)):
        filter_of(value)


def test_the_largest_filters_are_filters() -> None:
    filter_of({"any": [CHEAP] * MOST_CONDITIONS})
    filter_of(nested(MOST_DEPTH))
    filter_of(condition(operator="in", value=["x"] * MOST_VALUES))


VALUES = st.text(max_size=5) | st.booleans() | st.floats(-1e300, 1e300)
CONDITIONS = st.one_of(
    st.fixed_dictionaries({"field": st.text(min_size=1), "operator": st.just("equals"), "value": VALUES}),
    st.fixed_dictionaries(
        {"field": st.text(min_size=1), "operator": st.just("in"), "value": st.lists(VALUES, min_size=1, max_size=3)}
    ),
    st.fixed_dictionaries(
        {"field": st.text(min_size=1), "operator": st.sampled_from(["at_least", "at_most"]), "value": st.floats(0, 9)}
    ),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda parts: st.one_of(
        st.fixed_dictionaries({"all": st.lists(parts, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(parts, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": parts}),
    ),
    max_leaves=4,
)


@given(FILTERS)
def test_a_request_with_a_filter_is_written_and_read_as_it_was(value: dict[str, Any]) -> None:
    request = RecommendRequest("q", filter=filter_of(value))
    assert request.to_json()["filter"] == value
    assert RecommendRequest.from_json(request.to_json()) == request


def test_a_request_without_a_filter_is_written_as_before_there_were_any() -> None:
    assert "filter" not in RecommendRequest("q").to_json()
    assert RecommendRequest.from_json(RecommendRequest("q").to_json()) == RecommendRequest("q")


def test_a_logged_filter_that_is_none_is_no_request() -> None:
    with pytest.raises(ValueError, match="filter is 3"):
        RecommendRequest.from_json({**RecommendRequest("q").to_json(), "filter": 3})
