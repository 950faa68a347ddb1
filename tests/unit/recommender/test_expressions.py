"""Expressions let through the items that the library itself says they hold for; what is wrong is named at its line."""

from __future__ import annotations

import json
import re
from typing import Any

import celpy
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import SettingsError
from contracts.expressions import Expression, Kind, compile_expression
from contracts.filters import AllOf, Condition, Operator
from recommender.catalogue import Catalogue
from recommender.filters import CatalogueFilters

FIELDS = {
    "categories": Kind.TEXTS,
    "price": Kind.NUMBER,
    "release_year": Kind.NUMBER,
    "in_stock": Kind.FLAG,
    "attributes.colour": Kind.TEXT,
    "attributes.on-sale": Kind.FLAG,
}
ITEMS: list[dict[str, Any]] = [
    {
        "price": float(price),
        "release_year": 1990 + 10 * (price % 3),
        "in_stock": price % 2 == 0,
        "categories": [["comedy"], ["drama"], ["comedy", "drama"], []][price % 4],
        "attributes": {"colour": ["red", "green", "blue"][price % 3], "on-sale": price > 8},
    }
    for price in range(13)
]


def compiled(text: str, line: int = 7) -> Any:
    return compile_expression(Expression(text, "placements.yaml", line, "cart.where"), FIELDS)


def catalogue() -> Catalogue:
    return Catalogue.from_items(
        pl.DataFrame(
            {
                "item_id": [f"i{number:02}" for number in range(len(ITEMS))],
                "title": [""] * len(ITEMS),
                "categories": [item["categories"] for item in ITEMS],
                "release_year": [item["release_year"] for item in ITEMS],
                "price": [item["price"] for item in ITEMS],
                "in_stock": [item["in_stock"] for item in ITEMS],
                "attributes": [json.dumps(item["attributes"]) for item in ITEMS],
            },
            schema_overrides={"categories": pl.List(pl.String)},
        )
    )


FILTERS = CatalogueFilters(catalogue(), "r-1")
ENVIRONMENT = celpy.Environment()


def asked_of_the_library(text: str) -> list[bool]:
    program = ENVIRONMENT.program(ENVIRONMENT.compile(text))
    return [bool(program.evaluate({name: celpy.json_to_cel(value) for name, value in item.items()})) for item in ITEMS]


numbers = st.integers(-1, 13).map(float)
years = st.sampled_from([1989, 1990, 1995, 2000, 2010, 2011])
colours = st.sampled_from(["red", "green", "blue", "mauve"])
comparisons = st.one_of(
    st.builds("price {} {}".format, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers),
    st.builds("{} {} release_year".format, years, st.sampled_from(["<", "<=", ">", ">=", "==", "!="])),
    st.builds("attributes.colour {} '{}'".format, st.sampled_from(["==", "!="]), colours),
    st.builds("attributes['colour'] in {}".format, st.lists(colours, min_size=1, max_size=3)),
    st.builds("'{}' in categories".format, st.sampled_from(["comedy", "drama", "horror"])),
    st.sampled_from(["in_stock", "attributes['on-sale']", "in_stock == false"]),
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({}) && {}".format, inner, inner),
        st.builds("{} || ({})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)


@given(expressions)
@settings(max_examples=80, deadline=None)
def test_an_expression_lets_through_what_the_library_says_it_holds_for(text: str) -> None:
    allowed = FILTERS.allowed(compiled(text))
    assert allowed is not None
    assert allowed.contains(np.arange(len(ITEMS))).tolist() == asked_of_the_library(text)


def test_a_chain_is_one_condition_of_many_parts() -> None:
    chain = compiled("price >= 1.0 && price <= 2.0 && in_stock")
    assert chain == AllOf(
        (
            Condition("price", Operator.AT_LEAST, 1.0),
            Condition("price", Operator.AT_MOST, 2.0),
            Condition("in_stock", Operator.EQUALS, value=True),
        )
    )


@pytest.mark.parametrize(("integer", "number"), [("007", 7.0), ("-07", -7.0), ("0x1F", 31.0), ("12u", 12.0)])
def test_an_integer_is_in_tens_or_with_0x_in_sixteens(integer: str, number: float) -> None:
    assert compiled(f"price == {integer}") == Condition("price", Operator.EQUALS, number)


def test_a_strict_bound_does_not_hold_where_nothing_is_known() -> None:
    some = Catalogue.from_items(
        pl.DataFrame(
            {
                "item_id": ["a", "b"],
                "title": ["", ""],
                "categories": [["comedy"], ["comedy"]],
                "release_year": [None, None],
                "price": [3.0, None],
                "in_stock": [None, None],
                "attributes": [None, None],
            },
            schema_overrides={"attributes": pl.String, "in_stock": pl.Boolean, "release_year": pl.Int32},
        )
    )
    allowed = CatalogueFilters(some, "r-1").allowed(compiled("price < 4"))
    assert allowed is not None
    assert allowed.item_idx.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prce <= 5", "there is no field `prce`. Did you mean `price`?"),
        ("attributes.clour == 'x'", "there is no field `attributes.clour`. Did you mean `attributes.colour`?"),
        ("price <= 'x'", "`price` is of type number, and is compared with 'x'"),
        ("price", "`price` is of type number, and alone no condition: compare it with a value"),
        ("in_stock == 1", "`in_stock` is of type true or false, and is compared with 1.0"),
        ("categories == 'x'", '`categories` holds several texts: write `"one of them" in categories`'),
        ("attributes.colour < 'a'", "`attributes.colour` is of type text; `<` compares numbers"),
        ("price in ['a']", "`price` is of type number, and is compared with 'a'"),
        ("price == [1]", "`==` does not go with a list"),
        ("'x' in price", "`price` is of type number; `in` looks into a list"),
        ("2 in categories", "`categories` is of type texts, and 2.0 is no text"),
        ("price == price", "a comparison is between a field and a value"),
        ("size(categories) > 1", "functions are not taken here"),
        ("categories.exists(c, c == 'x')", "functions are not taken here"),
        ("price + 1 < 5", "sums are not taken here"),
        ("in_stock ? in_stock : in_stock", "conditions with `?` are not taken here"),
        ("(price < 1) == in_stock", "comparisons of comparisons are not taken here"),
        ("price == null", "`null` is no value that a field can have"),
        ("-price < 3", "only a number can be negative, and only a condition be denied"),
        ("price in [[1]]", "a list holds texts, numbers, or true and false"),
        ("attributes[1] == 'x'", "a field is a name"),
        ("true", "True alone says nothing of a field"),
        ("", "`` is no expression at column 1"),
        ("price < " + "9" * 400, "inf; expected a text"),
        ("price < 0x" + "f" * 400, "inf; expected a text"),
        ("!" * 1500 + "in_stock", "is deeper than 8 filters within each other"),
        ("!" * 9 + "in_stock", "is deeper than 8 filters within each other"),
        (" || ".join(["in_stock"] * 33), "a filter has at most 32"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_setting(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=r"^placements\.yaml:7: cart\.where: .*" + re.escape(problem)):
        compiled(text)


def test_the_line_is_that_of_the_word_in_a_text_of_several_lines() -> None:
    with pytest.raises(SettingsError, match=r"^placements\.yaml:9: cart\.where: there is no field `prise`"):
        compiled("in_stock &&\nprice <= 5 &&\nprise >= 2")
    with pytest.raises(SettingsError, match=r"^placements\.yaml:8: .* is no expression at column 15"):
        compiled("in_stock &&\n price <= 5 &&& price")


def test_names_below_an_open_prefix_may_be_any() -> None:
    expression = Expression("context.device == 'phone'", "placements.yaml", 1, "cart.rules.sale.when")
    assert compile_expression(expression, {}, "context.") == Condition("context.device", Operator.EQUALS, "phone")
