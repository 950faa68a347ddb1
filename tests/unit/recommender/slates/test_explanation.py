from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.query import QueryBatch, RetrievalQuery
from recommender.slates.explanation import reasons
from tests.recommender_worlds import checkerboard, checkerboard_generators, gathered

QUOTAS = {"als": 10, "covisitation": 10, "popular": 10, "popular_recent": 10, "popular_segment": 10, "content": 10}


def why(query: RetrievalQuery, quotas: dict[str, int] | None = None, item: int | None = None) -> tuple[str, ...]:
    """The reasons for one candidate: the item named, or the first."""
    world = checkerboard()
    candidates = gathered(checkerboard_generators(), query, quotas or QUOTAS, 100)
    row = 0 if item is None else candidates.item_idx.tolist().index(item)
    queries, shown = QueryBatch.of([query]), np.array([row])
    return reasons(world.catalogue, checkerboard_generators(), queries, candidates, shown)[0]


def test_somebody_with_history_is_told_of_what_they_chose_and_like():
    world = checkerboard()
    query = world.query("u500")
    left_out = world.held_out["u500"]
    sentences = why(query, item=left_out)
    chosen = {f"Because you chose {world.catalogue.titles[item]}" for item in query.history.item_idx}
    assert sentences[0] in chosen
    assert sentences[1] == "Because you like even"
    assert len(sentences) == 3


def test_a_category_the_person_does_not_like_is_no_reason():
    sentences = why(checkerboard().query("u500"), item=1)
    assert not [sentence for sentence in sentences if "like odd" in sentence]


def test_beside_an_item_it_is_more_like_that_item():
    query = replace(checkerboard().query("u500"), anchor=3, excluded=np.array([3], np.int32))
    assert why(query, {"covisitation": 10})[0] == "More like Square 3"


def test_a_stated_item_is_liked_and_not_watched():
    query = RetrievalQuery(0, preferred_items=np.array([4], np.int32), excluded=np.array([4], np.int32))
    assert why(query, {"covisitation": 10})[0] == "Because you like Square 4"


def test_a_stated_category_is_given_as_the_reason():
    query = RetrievalQuery(0, preferred_categories=np.array([0, 1], np.float32))
    assert why(query, {"content": 10}) == ("Because you like odd",)


def test_somebody_unknown_is_told_what_is_popular():
    assert why(RetrievalQuery(0), {"popular_recent": 10}) == ("Popular this month",)
    assert why(RetrievalQuery(0), {"popular": 10}) == ("An all-time favourite",)


def test_a_segment_is_named_as_it_was_told():
    query = RetrievalQuery(0, segment={"gender": "F"})
    assert why(query, {"popular_segment": 10}) == ("Popular among people like you (F)",)
