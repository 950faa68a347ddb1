"""An item is known when one of the releases served at once holds it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import UnknownId
from contracts.id_map import IdMap
from contracts.ids import ItemId
from contracts.slates import Preferences, RecommendRequest, Surface
from serving.known_ids import check_categories, check_known, unknown_items


def holding(release_id: str, *item_ids: str) -> Any:
    catalogue = SimpleNamespace(ids=IdMap.of(item_ids), category_names=())
    return SimpleNamespace(release_id=release_id, catalogue=catalogue)


PRODUCTION, CANARY = holding("r-old", "i1", "i2"), holding("r-new", "i2", "i3")


def test_an_item_that_only_the_canary_holds_is_known() -> None:
    assert unknown_items([PRODUCTION, CANARY], ["i1", "i3"]) == []
    assert unknown_items([PRODUCTION], ["i1", "i3"]) == ["i3"]


def test_items_that_none_of_them_holds_are_named_once_in_the_order_they_came() -> None:
    assert unknown_items([PRODUCTION, CANARY], ["i5", "i1", "i4", "i5"]) == ["i5", "i4"]


def test_of_thousands_of_categories_thirty_are_named() -> None:
    release = holding("r-old")
    release.catalogue.category_names = tuple(f"c{number:04}" for number in range(5000))
    with pytest.raises(UnknownId, match="knows no category 'opera'") as refused:
        check_categories(release, ["c0001", "opera"])
    assert refused.value.next_step.endswith("c0028, c0029 and 4970 more.")


@pytest.mark.parametrize(
    "request_of_i3",
    [
        RecommendRequest("q", surface=Surface.ITEM, item_id=ItemId("i3")),
        RecommendRequest("q", preferences=Preferences(item_ids=(ItemId("i3"),))),
    ],
)
def test_a_question_that_names_an_item_unknown_to_the_release_that_answers_is_refused(
    request_of_i3: RecommendRequest,
) -> None:
    check_known(CANARY, request_of_i3)
    with pytest.raises(UnknownId, match="Release r-old knows no item 'i3'"):
        check_known(PRODUCTION, request_of_i3)
