"""Batch and the MLflow model take what HTTP takes, and refuse what it refuses, before anybody is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from contracts.errors import ShapeMismatch, UnknownId, WrongInput
from release.answering.batch import BatchRecommender
from release.answering.request_limits import check_id, check_length
from tests.placed_releases import with_placements

BUNDLE = Path("tests/golden/bundle_v3")


@pytest.fixture(scope="module")
def recommender() -> BatchRecommender:
    return BatchRecommender(BUNDLE)


def answered(recommender: BatchRecommender, **columns: Any) -> list[tuple[str | None, int]]:
    """Who was answered, and with how many items."""
    slates = recommender.answer(pl.DataFrame(columns))
    return list(slates.group_by("user_id", maintain_order=True).len().rows())


def test_a_row_may_name_its_placement(recommender: BatchRecommender) -> None:
    people = answered(recommender, user_id=["u500", "u501"], k=[2, 2], placement=["home", None])
    assert people == [("u500", 2), ("u501", 2)]


@pytest.mark.parametrize(
    ("placement", "refusal", "problem"),
    [
        ("hoem", UnknownId, r"Row 1: Release r-\w+ has no placement 'hoem'"),
        ("item", WrongInput, "Row 1: Placement item stands beside an item"),
        (5, WrongInput, "Row 1: The placement is 5"),
    ],
)
def test_a_placement_that_is_none_is_refused_with_its_row(
    recommender: BatchRecommender, placement: Any, refusal: type[Exception], problem: str
) -> None:
    with pytest.raises(refusal, match=problem):
        answered(recommender, user_id=["u500"], k=[2], placement=[placement])


@pytest.mark.parametrize("k", [-1, 0, 101, 1000])
def test_a_length_out_of_bounds_is_refused_with_its_row_and_the_releases_limit(
    recommender: BatchRecommender, k: int
) -> None:
    with pytest.raises(WrongInput, match=rf"Row 2: {k} items are wanted; release r-\w+ answers 1 to 100"):
        answered(recommender, user_id=["u500", "u501"], k=[2, k])


def test_the_limit_is_that_of_the_placement(recommender: BatchRecommender, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = {"cart": {"request": {"max_k": 3}}, "mail": {"request": {"max_k": 120}}}
    monkeypatch.setattr(recommender, "_release", with_placements(recommender._release, lengths))
    named = {"user_id": ["u500"], "placement": ["cart"]}
    assert answered(recommender, **named, k=[3]) == answered(recommender, **named) == [("u500", 3)]
    with pytest.raises(WrongInput, match=r"Row 1: 4 items are wanted; release r-\w+ answers 1 to 3"):
        answered(recommender, **named, k=[4])
    ((_, longer),) = answered(recommender, user_id=["u500"], placement=["mail"], k=[101])
    assert longer > 0


@pytest.mark.parametrize("k", [2.5, "3", True])
def test_a_length_that_is_no_integer_is_refused(recommender: BatchRecommender, k: Any) -> None:
    with pytest.raises(WrongInput, match="Row 1: k is "):
        answered(recommender, user_id=["u500"], k=[k])


def test_an_empty_cell_asks_for_ten_and_a_whole_float_is_what_pandas_makes_of_an_integer(
    recommender: BatchRecommender,
) -> None:
    by_ten = answered(recommender, user_id=["u500", "u501"], k=[3, 10])
    assert by_ten[0] == ("u500", 3)
    assert answered(recommender, user_id=["u500", "u501"], k=[3.0, None]) == by_ten


@pytest.mark.parametrize("user_id", ["", "u" * 257, 7.0, True])
def test_an_id_out_of_bounds_is_refused_with_its_row(recommender: BatchRecommender, user_id: Any) -> None:
    with pytest.raises(WrongInput, match="Row 1: "):
        answered(recommender, user_id=[user_id])


def test_a_row_may_have_a_filter_as_json(recommender: BatchRecommender) -> None:
    comedies = '{"field": "categories", "operator": "equals", "value": "comedy"}'
    slates = recommender.answer(pl.DataFrame({"user_id": ["u500", "u500"], "k": [2, 2], "filter": [comedies, None]}))
    titles = slates["title"].to_list()
    assert [title.endswith("(comedy)") for title in titles] == [True, True, True, False]
    assert titles[2:] == recommender.answer(pl.DataFrame({"user_id": ["u500"], "k": [2]}))["title"].to_list()


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("price < 5", WrongInput, "Row 2: The filter 'price < 5' is no JSON"),
        ("3", WrongInput, "Row 2: filter is 3; expected a condition"),
        (
            '{"field": "size", "operator": "equals", "value": "XL"}',
            UnknownId,
            r"Row 2: .* has no field 'size'",
        ),
    ],
)
def test_a_filter_that_is_none_is_refused_with_its_row(
    recommender: BatchRecommender, cell: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        answered(recommender, user_id=["u500", "u501"], filter=[None, cell])


def test_a_mapping_of_columns_is_a_table_and_not_a_person_of_that_name(recommender: BatchRecommender) -> None:
    # What MLflow makes of {"user_id": ["u500", "u501"]}: one row, with a list in it.
    assert answered(recommender, user_id=[["u500", "u501"]], k=[[1, 2]]) == [("u500", 1), ("u501", 2)]
    assert answered(recommender, user_id=[["u500"]]) == answered(recommender, user_id=["u500"])
    with pytest.raises(ShapeMismatch, match="not equally long"):
        answered(recommender, user_id=[["u500", "u501"]], k=[[1]])


@pytest.mark.parametrize(
    "people",
    [{"user_id": ["u500"], "k": [2]}, {"user_id": "u500", "k": 2}, pd.DataFrame({"user_id": [["u500"]], "k": [[2]]})],
    ids=["lists", "one person", "as MLflow hands it over"],
)
# MLflow says of a class of its own, while it imports, that a field of it is typed Any.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_model_of_mlflow_takes_mappings_too(people: Any) -> None:
    from mlflow.pyfunc.model import PythonModelContext

    from release.answering.pyfunc_model import SlateModel

    context = PythonModelContext({"bundle": str(BUNDLE)}, model_config=None)
    model = SlateModel()
    model.load_context(context)
    assert model.predict(context, people)["user_id"].tolist() == ["u500", "u500"]


def test_the_bounds_themselves_are_within() -> None:
    check_length(1, 100, "r-1")
    check_length(100, 100, "r-1")
    check_id("u", "a person")
    check_id("u" * 256, "a person")


def test_half_a_character_is_no_id() -> None:
    with pytest.raises(WrongInput, match=r"The id of a person holds half a character: '\\udcff'"):
        check_id("\udcff", "a person")
