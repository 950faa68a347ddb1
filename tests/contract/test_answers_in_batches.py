"""A request is answered the same alone and in any batch, bit for bit: one path for a click and for everybody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import StoreError, UnknownId
from contracts.features import ReadRows, ReadsPeopleInTurn
from contracts.filters import Condition, Not, Operator
from contracts.settings.diversity import DiversitySettings
from contracts.slates import Preferences, RecommendRequest, Slate, Surface
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import BLOCK, answer, answer_many
from release.bundle.bundle import Release, load_bundle
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import AwayReader, made_up_reader, made_up_release

BUNDLE = Path("tests/golden/bundle_v4")
RECENT = Condition("release_year", Operator.AT_LEAST, 1988.0)


@cache
def served() -> tuple[Release, OfflineFeatureReader]:
    """A release of the stages, and its own values."""
    release = load_bundle(BUNDLE)
    return release, OfflineFeatureReader(FeatureValues.load(BUNDLE / "values"), release.schemas, release.catalogue.ids)


@cache
def every_kind_of_request() -> tuple[RecommendRequest, ...]:
    """People with histories, people unknown, visitors who tell something and nothing, item pages, several lengths."""
    release, _ = served()
    people = FeatureValues.load(BUNDLE / "values").users["user_id"].to_list()
    items = release.catalogue.ids.ids
    known = [RecommendRequest(f"p-{user}", user_id=user, explain=number % 3 == 0) for number, user in enumerate(people)]
    others = [
        RecommendRequest("nobody", user_id="nobody"),
        RecommendRequest("visitor"),
        RecommendRequest("told", context={"gender": "F", "age": "30"}, explain=True),
        RecommendRequest(
            "likes", preferences=Preferences(release.catalogue.category_names[:1], items[3:5]), explain=True
        ),
        RecommendRequest("beside", user_id=people[0], surface=Surface.ITEM, item_id=items[7], explain=True),
        RecommendRequest("short", user_id=people[1], k=2),
        RecommendRequest("long", user_id=people[2], k=50),
        RecommendRequest("filtered", user_id=people[0], filter=RECENT),
        RecommendRequest("filtered alike", user_id=people[3], filter=RECENT),
        RecommendRequest("filtered otherwise", user_id=people[3], filter=Not(RECENT)),
        RecommendRequest("filtered visitor", filter=Not(RECENT)),
    ]
    return (*others, *known)


def without_time(slate: Slate) -> Slate:
    return replace(slate, timings_ms={})


@cache
def alone(number: int, rules: str) -> Slate:
    release, requests = answering(rules)
    return without_time(answer(release, served()[1], FixedClock(release.as_of), requests[number]))


def diversified(**settings: Any) -> dict[str, Any]:
    return {"diversity": DiversitySettings(strength=0.6, max_relevance_loss=0.1, adaptive=0.5, **settings)}


RULES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "weighted and explored": {"relevance_weight": 0.7, "exploration_share": 0.4},
    "marginal relevance": diversified(method="mmr", over="both"),
    "determinant, explored": {**diversified(method="dpp"), "exploration_share": 0.4},
    "calibration": diversified(method="calibration"),
}


PLACED = "at placements, by rules"
CALM = {"block": '"comedy" in categories', "when": 'context.mood == "calm"'}
HERO = {"pin": "release_year >= 1988", "position": 2}
HOUSE = {"promote": '"drama" in categories', "share": 0.3}
MIXED = {"limit": "each category", "most": 2, "within": 4}
NEW = {"boost": "release_year >= 1990", "strength": 0.4, "when": 'context.mood == "bold"'}
PLACEMENTS: dict[str, Any] = {
    "home": {"rules": {"calm": CALM, "mixed": MIXED, "new": NEW}},
    "item": {"rules": {"hero": HERO, "calm": CALM}},
    "cart": {
        "where": "release_year >= 1985",
        "request": {"n_ranked": 60, "diversity": {"method": "mmr", "strength": 0.6, "max_relevance_loss": 0.1}},
        "rules": {"hero": HERO, "house": HOUSE, "mixed": MIXED},
    },
    "mail": {"generators": {"popular": 1.0, "content": 0.5}, "rules": {"calm": CALM, "house": HOUSE, "new": NEW}},
}


@cache
def answering(rules: str) -> tuple[Release, tuple[RecommendRequest, ...]]:
    """The release by these rules, and what is asked of it; for PLACED at its placements, in several moods."""
    release, requests = served()[0], every_kind_of_request()
    if rules != PLACED:
        return release.with_rules(**RULES[rules]), requests
    places, moods = (None, "cart", "mail"), ({}, {"mood": "calm"}, {"mood": "bold"}, {})
    placed = (
        replace(
            request,
            placement=places[number % len(places)] if request.item_id is None else None,
            context={**request.context, **moods[number % len(moods)]},
        )
        for number, request in enumerate(requests)
    )
    return with_placements(release, PLACEMENTS), tuple(placed)


@pytest.mark.parametrize("rules", [*RULES, PLACED])
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_every_kind_of_request_gets_the_same_slate_whatever_it_is_answered_with(rules, data):
    release, requests = answering(rules)
    numbers = data.draw(st.lists(st.integers(0, len(requests) - 1), min_size=1, max_size=2 * BLOCK))
    chosen = [requests[number] for number in numbers]
    slates = answer_many(release, served()[1], FixedClock(release.as_of), chosen)
    assert [without_time(slate) for slate in slates] == [alone(number, rules) for number in numbers]


def test_requests_of_every_placement_and_mood_are_answered_together_as_each_alone():
    release, requests = answering(PLACED)
    slates = answer_many(release, served()[1], FixedClock(release.as_of), requests)
    assert [without_time(slate) for slate in slates] == [alone(number, PLACED) for number in range(len(requests))]
    assert {slate.placement for slate in slates} == {"home", "item", *PLACEMENTS}
    assert {rule for slate in slates for rule in slate.rules} == {"calm", "hero", "house", "mixed", "new"}
    assert {rule for slate in slates for item in slate.items for rule in item.rules} == {"hero", "house", "new"}


def test_no_requests_have_no_answers():
    release, reader = served()
    assert answer_many(release, reader, FixedClock(release.as_of), []) == []


def test_an_item_page_that_is_not_known_answers_nobody():
    release, reader = served()
    beside_nothing = RecommendRequest("q", surface=Surface.ITEM, item_id="nothing")
    with pytest.raises(UnknownId, match="knows no item 'nothing'"):
        answer_many(release, reader, FixedClock(release.as_of), [every_kind_of_request()[0], beside_nothing])


class RefusesOne(ReadsPeopleInTurn):
    """A reader of a store that refuses one person, and that lost the row of one item."""

    def __init__(self, reader: Any, user_id: str, item_id: str) -> None:
        self._reader, self._user_id, self._item_id = reader, user_id, item_id
        self.generation_id = reader.generation_id

    def read_person(self, user_id, session_id, now):
        if user_id == self._user_id:
            raise StoreError("The list of where people are is damaged.", "Publish again.")
        return self._reader.read_person(user_id, session_id, now)

    def read_items(self, item_ids, now) -> ReadRows:
        rows = self._reader.read_items(item_ids, now)
        return replace(rows, n_lost=int(self._item_id in item_ids))


class FailsForSome:
    """A generator that dies of people who touched one item."""

    def __init__(self, generator: Any, item_idx: int) -> None:
        self._generator, self._item_idx = generator, item_idx
        self.name = generator.name

    def encode(self, queries):
        if self._item_idx in queries.histories.item_idx:
            raise RuntimeError("this item is too much")
        return self._generator.encode(queries)


HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i13", "i14", "i15"], "u3": ["i20", "i21"], "u4": ["i17", "i18"]}


def answered_together_and_alone(release: Release, reader: Any) -> tuple[list[Slate], list[Slate]]:
    clock = FixedClock(release.as_of)
    requests: Sequence[RecommendRequest] = [RecommendRequest(user, user_id=user, k=3) for user in HISTORIES]
    together = answer_many(release, reader, clock, requests)
    one_by_one = [answer(release, reader, clock, request) for request in requests]
    return [without_time(slate) for slate in together], [without_time(slate) for slate in one_by_one]


def test_what_is_missing_for_one_person_is_not_missing_for_the_others():
    reader = RefusesOne(made_up_reader(HISTORIES), "u2", "i10")
    together, one_by_one = answered_together_and_alone(made_up_release(), reader)
    assert together == one_by_one
    # Item 10 is a candidate of everybody who has not seen it.
    assert [slate.degraded for slate in together] == [(), ("features",), ("features",), ("features",)]


@pytest.mark.parametrize("away", ["people", "items"])
def test_a_store_that_is_away_is_asked_once_for_all_of_a_block_and_each_answer_says_so(away):
    reader = CountsWaits(made_up_reader(HISTORIES), people=away == "people", items=away == "items")
    together, one_by_one = answered_together_and_alone(made_up_release(), reader)
    assert together == one_by_one
    assert [slate.degraded for slate in together] == [("features",)] * len(HISTORIES)
    assert reader.n_waits == 1 + len(HISTORIES)  # the block, and then each alone


class CountsWaits(AwayReader):
    """Counts how often somebody waited for a store that does not answer."""

    n_waits = 0

    def read_person(self, *asked: Any) -> Any:
        self.n_waits += self.people
        return super().read_person(*asked)

    def read_items(self, *asked: Any) -> Any:
        self.n_waits += self.items
        return super().read_items(*asked)


def test_a_generator_that_dies_of_one_person_leaves_the_others_their_slates():
    release = made_up_release()
    broken = FailsForSome(release.generators["covisitation"], release.catalogue.ids.index("i20"))
    together, one_by_one = answered_together_and_alone(
        replace(release, generators={**release.generators, "covisitation": broken}), made_up_reader(HISTORIES)
    )
    assert together == one_by_one
    assert [slate.degraded for slate in together] == [(), (), ("generator:covisitation",), ()]


def test_a_request_tells_its_share_of_the_time_that_its_block_took():
    release, reader = served()
    started = time.perf_counter()
    slates = answer_many(release, reader, FixedClock(release.as_of), every_kind_of_request()[:20])
    took_ms = 1000 * (time.perf_counter() - started)
    assert sum(slate.timings_ms["total"] for slate in slates) <= took_ms + 0.001 * len(slates)  # each is rounded
    assert all(list(slate.timings_ms)[-1] == "total" for slate in slates)
    assert all(np.isfinite(list(slate.timings_ms.values())).all() for slate in slates)
