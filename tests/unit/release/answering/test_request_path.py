from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import UnknownId, WrongInput
from contracts.filters import AllOf, Condition, Filter, Not, Operator
from contracts.slates import Preferences, RecommendRequest, Slate, Surface, Tier
from recommender.generators.own import OwnGenerator
from recommender.generators.popular import PopularGenerator
from recommender.item_attributes import TextAttribute
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from release.answering import request_path
from release.answering.request_path import answer
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from tests.unit.release.made_up_release import (
    ITEM_IDS,
    NOW,
    QUOTAS,
    AwayReader,
    BrokenRanker,
    clicks,
    made_up_reader,
    made_up_release,
    with_failing,
    with_ranker,
)

CLOCK = FixedClock(NOW)
HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i20"], "u3": ITEM_IDS[:10]}


def ask(release: Release | None = None, reader: Any = None, **fields: Any) -> Slate:
    request = RecommendRequest("q", **{"k": 3, **fields})
    return answer(release or made_up_release(), reader or made_up_reader(HISTORIES), CLOCK, request)


def shown(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def test_a_person_with_history_gets_the_rankers_order_without_what_they_have_seen() -> None:
    slate = ask(user_id="u1", k=12)
    assert slate.tier is Tier.PERSONAL
    assert shown(slate) == ITEM_IDS[:2:-1]  # the best quality first, and the three seen ones left out
    assert [item.score for item in slate.items] == pytest.approx([item / 100 for item in range(11, 2, -1)])
    assert slate.degraded == ()


def test_positions_count_from_one_and_titles_belong_to_their_items() -> None:
    slate = ask(user_id="u1")
    assert [(item.position, item.title) for item in slate.items] == [
        (1, "Film i21"),
        (2, "Film i20"),
        (3, "Film i19"),
    ]


def test_the_answer_names_release_generation_request_and_policy() -> None:
    reader = made_up_reader(HISTORIES)
    slate = ask(reader=reader, user_id="u1")
    assert (slate.request_id, slate.release_id, slate.generation_id) == ("q", "r-made-up", reader.generation_id)
    assert slate.policy_id == "ranker"
    assert {"person", "retrieve", "features", "rank", "arrange", "present", "total"} == slate.timings_ms.keys()


def test_too_short_a_history_is_served_like_a_session() -> None:
    slate = ask(user_id="u2")
    assert slate.tier is Tier.SESSION
    assert "i20" not in shown(slate)


def test_a_visitors_clicks_make_a_session_and_are_not_shown_again() -> None:
    reader = SessionReader(made_up_reader(), {"s1": clicks("i21", "i20")})
    slate = ask(reader=reader, session_id="s1")
    assert slate.tier is Tier.SESSION
    assert shown(slate) == ["i19", "i18", "i17"]


def test_a_person_moves_up_at_the_next_request_after_the_click() -> None:
    before = made_up_reader({"u2": ["i20"]})
    after = SessionReader(before, {"s1": clicks("i19")})
    assert ask(reader=before, user_id="u2", session_id="s1").tier is Tier.SESSION
    assert ask(reader=after, user_id="u2", session_id="s1").tier is Tier.PERSONAL


def test_stated_categories_lead_to_their_items_first() -> None:
    slate = ask(preferences=Preferences(categories=("Drama",)), k=4)
    assert slate.tier is Tier.ONBOARDED
    assert set(shown(slate)[:2]) == {"i16", "i17"}  # the dramas that are also the most popular ones


def test_stated_items_are_not_shown_back_and_what_goes_with_them_is() -> None:
    slate = ask(preferences=Preferences(item_ids=("i15",)))
    assert slate.tier is Tier.ONBOARDED
    assert "i15" not in shown(slate)
    assert "i16" in shown(slate)


def test_preferences_the_release_knows_nothing_of_are_no_preferences() -> None:
    slate = ask(preferences=Preferences(categories=("opera",), item_ids=("i99",)))
    assert slate.tier is Tier.POPULAR


def test_a_known_segment_is_contextual_and_sees_what_is_popular_in_it() -> None:
    slate = ask(context={"gender": "F"})
    assert slate.tier is Tier.CONTEXTUAL
    assert shown(slate) == ["i21", "i20", "i19"]
    assert {item.source for item in slate.items} == {"popular_segment"}


def test_a_segment_nobody_was_in_still_fills_the_slate() -> None:
    slate = ask(context={"gender": "X"})
    assert slate.tier is Tier.CONTEXTUAL
    assert shown(slate) == ["i10", "i11", "i12"]


def test_a_stranger_sees_what_is_popular() -> None:
    slate = ask()
    assert slate.tier is Tier.POPULAR
    assert shown(slate) == ["i10", "i11", "i12"]
    assert slate.policy_id == "fusion"


def test_beside_an_item_comes_what_goes_with_it_and_never_the_item_itself() -> None:
    slate = ask(surface=Surface.ITEM, item_id="i17", k=12)
    assert shown(slate)[:2] == ["i18", "i19"]
    assert "i17" not in shown(slate)
    assert len(shown(slate)) == 11


def test_beside_an_item_seen_ones_are_left_out_as_well() -> None:
    slate = ask(surface=Surface.ITEM, item_id="i11", user_id="u1")
    assert slate.tier is Tier.PERSONAL
    assert not {"i10", "i11", "i12"} & set(shown(slate))
    assert shown(slate)[0] == "i13"


@pytest.mark.parametrize("item_id", ["i99", None])
def test_an_unknown_item_is_refused_on_its_own_page_alone(item_id: str | None) -> None:
    with pytest.raises(UnknownId, match="r-made-up knows no item"):
        ask(surface=Surface.ITEM, item_id=item_id)
    assert ask(surface=Surface.HOME, item_id=item_id).items


def test_fewer_items_left_than_asked_make_a_shorter_slate() -> None:
    assert shown(ask(user_id="u3", k=5)) == ["i21", "i20"]


def test_nothing_left_makes_an_empty_slate() -> None:
    slate = ask(reader=made_up_reader({"u1": ITEM_IDS}), user_id="u1")
    assert slate.items == ()
    assert slate.degraded == ()


def test_no_more_than_max_k_are_shown() -> None:
    assert len(ask(made_up_release(max_k=4), user_id="u1", k=9).items) == 4


def test_without_the_store_the_tier_falls_to_what_the_request_tells() -> None:
    away = AwayReader(made_up_reader(HISTORIES))
    assert ask(reader=away, user_id="u1").tier is Tier.POPULAR
    slate = ask(reader=away, user_id="u1", context={"gender": "F"})
    assert (slate.tier, slate.degraded) == (Tier.CONTEXTUAL, ("features",))
    assert len(slate.items) == 3


def test_without_item_features_the_ranker_sees_defaults_and_the_answer_says_so() -> None:
    slate = ask(reader=AwayReader(made_up_reader(HISTORIES), people=False), user_id="u1")
    assert (slate.tier, slate.degraded) == (Tier.PERSONAL, ("features",))
    assert [item.score for item in slate.items] == [
        0.5,
        0.5,
        0.5,
    ]  # the default quality, ties in the order of the index
    assert shown(slate) == ["i13", "i14", "i15"]


def test_a_ranker_that_fails_leaves_the_order_of_retrieval() -> None:
    slate = ask(with_ranker(made_up_release(), BrokenRanker()), user_id="u1")
    assert slate.degraded == ("ranker",)
    assert slate.policy_id == "fusion"
    assert shown(slate)[:2] == ["i13", "i14"]  # popular, recent, and next to what was seen


@pytest.mark.parametrize("fails_when", ["encode", "propose", "score"])
def test_a_generator_that_fails_is_left_out_and_named(fails_when: str) -> None:
    release = made_up_release()
    slate = ask(with_failing(release, "covisitation", fails_when=fails_when), user_id="u1")
    assert slate.degraded == ("generator:covisitation",)
    assert slate.policy_id == "ranker"
    assert len(slate.items) == 3
    without = {name: one for name, one in release.generators.items() if name != "covisitation"}
    quotas = {name: quota for name, quota in QUOTAS.items() if name != "covisitation"}
    expected = ask(replace(made_up_release(quotas=quotas), generators=without), user_id="u1")
    assert shown(slate) == shown(expected)


@pytest.mark.parametrize("quota", [0, 12])
def test_where_what_is_left_would_not_fill_a_slate_it_is_of_what_is_popular(quota: int) -> None:
    release = made_up_release(quotas={**QUOTAS, "popular": quota})
    others = sorted(set(release.generators) - {"popular"})
    slate = ask(with_failing(release, *others), user_id="u1")
    assert {item.source for item in slate.items} == {"popular"}
    assert len(slate.items) == 3
    named = [f"generator:{name}" for name in others]
    assert list(slate.degraded) == [*named, *["retrieval"] * (not quota)]


def test_where_every_generator_fails_the_slate_is_empty_and_says_so() -> None:
    release = made_up_release()
    slate = ask(with_failing(release, *release.generators), user_id="u1")
    assert slate.items == ()
    assert slate.degraded[-1] == "retrieval"


def test_a_merge_that_fails_leaves_what_is_popular(monkeypatch: pytest.MonkeyPatch) -> None:
    release = made_up_release()

    def fails(*_asked: Any) -> Any:
        raise RuntimeError("the merge is broken")

    merges = iter([fails, request_path.gather])

    def fails_once(*asked: Any) -> Any:
        return next(merges)(*asked)

    monkeypatch.setattr(request_path, "gather", fails_once)
    slate = ask(release, user_id="u1")
    assert slate.degraded == ("retrieval",)
    assert shown(slate) == ["i13", "i14", "i15"]
    assert {item.source for item in slate.items} == {"popular"}


def test_a_generator_that_failed_is_asked_for_no_reason_either() -> None:
    release = made_up_release()
    speaking = replace(release.generators["covisitation"], name="covisitation_max")
    release = replace(release, generators={**release.generators, "covisitation_max": speaking})
    spoken = ask(release, user_id="u1", k=12, explain=True)
    assert any("Because" in reason for item in spoken.items for reason in item.reasons)
    slate = ask(with_failing(release, "covisitation_max"), user_id="u1", explain=True)
    assert slate.degraded == ("generator:covisitation_max",)
    assert len(slate.items) == 3


def test_reasons_that_cannot_be_given_cost_the_reasons_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_asked: Any) -> Any:
        raise RuntimeError("no words")

    whole = ask(user_id="u1", explain=True)
    monkeypatch.setattr(request_path, "reasons", fails)
    slate = ask(user_id="u1", explain=True)
    assert slate.degraded == ("reasons",)
    assert shown(slate) == shown(whole)
    assert {item.reasons for item in slate.items} == {()}


def test_a_class_of_a_teams_own_that_breaks_the_promise_is_left_out(caplog: Any) -> None:
    release = made_up_release()

    class BeyondTheCatalogue(OwnGenerator):
        name = "covisitation"

        @classmethod
        def learn(cls, inputs: Any) -> Any:
            return {}

        def encode(self, queries: QueryBatch) -> Any:
            beyond = Proposals(np.array([0, 1]), np.array([-1], np.int32), np.ones(1, np.float32))
            return SimpleNamespace(propose=lambda k: beyond, score=lambda items: np.ones(len(items.rows), np.float32))

    beyond = BeyondTheCatalogue(release.catalogue, {})
    slate = ask(replace(release, generators={**release.generators, "covisitation": beyond}), user_id="u1")
    assert slate.degraded == ("generator:covisitation",)
    assert len(slate.items) == 3
    assert "BeyondTheCatalogue.propose gives item -1; expected 0 to" in caplog.text


def test_without_exploration_every_propensity_is_one() -> None:
    assert {item.propensity for item in ask(user_id="u1").items} == {1.0}


def test_the_same_seed_draws_the_same_slate_and_another_seed_another() -> None:
    release = made_up_release(exploration_share=0.9)
    slates = [ask(release, user_id="u1", k=8, seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert slates[0].items == slates[1].items
    assert len({tuple(shown(slate)) for slate in slates}) > 1
    assert slates[0].policy_id == "ranker+explore-0.9"
    assert any(item.propensity < 1 for item in slates[0].items)


def test_a_diverse_slate_mixes_categories_and_keeps_the_best_item_first() -> None:
    ranked = ask(made_up_release(), user_id="u1", k=4)
    diverse = ask(made_up_release(relevance_weight=0.5), user_id="u1", k=4)
    assert shown(ranked) == ["i21", "i20", "i19", "i18"]  # dramas alone
    assert shown(diverse)[0] == "i21"
    assert {"i15", "i14", "i13"} & set(shown(diverse))  # a comedy among them


@pytest.mark.parametrize("method", ["mmr", "dpp", "calibration"])
def test_a_diversified_slate_mixes_categories_within_its_loss_and_says_so(method: str) -> None:
    def diversified(max_loss: float) -> Slate:
        diversity = {"method": method, "strength": 0.9, "max_relevance_loss": max_loss}
        reader = made_up_reader({"u1": ["i10", "i11", "i16"]})
        return ask(made_up_release(diversity=diversity, exploration_share=0.0), reader, user_id="u1", k=4)

    free, bound = diversified(0.9), diversified(0.0)
    assert shown(bound) == ["i21", "i20", "i19", "i18"]  # dramas alone
    assert {"i15", "i14", "i13"} & set(shown(free))  # a comedy among them
    assert (free.policy_id, free.degraded) == (f"ranker+{method}-0.9-loss-0.9", ())


def test_what_follows_a_diversified_slate_is_explored_as_ever() -> None:
    diversity = {"method": "mmr", "strength": 0.5}
    slate = ask(made_up_release(diversity=diversity, exploration_share=0.9), user_id="u1", k=8)
    assert slate.policy_id == "ranker+mmr-0.5-loss-0.05+explore-0.9"
    assert len(set(shown(slate))) == 8
    assert any(item.propensity < 1 for item in slate.items)


def test_reasons_are_given_only_when_asked_for() -> None:
    assert {item.reasons for item in ask(user_id="u1").items} == {()}
    assert all(item.reasons for item in ask(explain=True).items)


def test_person_and_items_are_read_from_one_reader_in_one_round_trip_each() -> None:
    asked: list[str] = []

    class Counting(AwayReader):
        def read_person(self, *arguments: Any) -> Any:
            asked.append("person")
            return super().read_person(*arguments)

        def read_items(self, *arguments: Any) -> Any:
            asked.append("items")
            return super().read_items(*arguments)

    ask(reader=Counting(made_up_reader(HISTORIES), people=False, items=False), user_id="u1")
    assert asked == ["person", "items"]


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.sampled_from(ITEM_IDS), max_size=12, unique=True),
    clicked=st.lists(st.sampled_from(ITEM_IDS), max_size=3, unique=True),
    k=st.integers(1, 20),
    anchor=st.none() | st.sampled_from(ITEM_IDS),
    weight=st.sampled_from([0.3, 1.0]),
    share=st.sampled_from([0.0, 0.5]),
)
def test_a_slate_never_repeats_an_item_nor_shows_a_seen_one_nor_exceeds_k(
    history: list[str], clicked: list[str], k: int, anchor: str | None, weight: float, share: float
) -> None:
    reader = SessionReader(made_up_reader({"u1": history} if history else {}), {"s1": clicks(*clicked)})
    slate = ask(
        made_up_release(relevance_weight=weight, exploration_share=share),
        reader,
        user_id="u1",
        session_id="s1",
        k=k,
        surface=Surface.ITEM if anchor else Surface.HOME,
        item_id=anchor,
    )
    items = shown(slate)
    assert slate.degraded == ()
    assert len(items) == len(set(items)) == min(k, len(ITEM_IDS) - len({*history, *clicked, *filter(None, [anchor])}))
    assert not set(items) & {*history, *clicked, anchor}
    assert [item.position for item in slate.items] == list(range(1, len(items) + 1))
    assert all(0 < item.propensity <= 1 for item in slate.items)
    if weight == 1 and share == 0:
        assert list(np.argsort([-item.score for item in slate.items], kind="stable")) == list(range(len(items)))


def distinct_texts(release: Release) -> Release:
    """The release with prices, stock and an attribute; what is popular ends with item 7, nobody touched the others."""
    items = replace(
        release.catalogue,
        price=np.arange(len(ITEM_IDS), dtype=np.float32),
        in_stock=np.arange(len(ITEM_IDS)) % 4 > 0,
        attributes={"colour": TextAttribute(("blue", "red"), np.array([-1, 0, 1] * 4, np.int32))},
    )
    popular = release.generators["popular"]
    assert isinstance(popular, PopularGenerator)
    touched = np.where(np.arange(len(ITEM_IDS)) < 8, popular.shares, np.float32(0))
    generators = {
        **release.generators,
        "popular": PopularGenerator("popular", touched, items.ids.fingerprint),
        "popular_recent": PopularGenerator("popular_recent", touched, items.ids.fingerprint),
    }
    return replace(release, catalogue=items, generators=generators)


IN_STOCK = Condition("in_stock", Operator.EQUALS, value=True)
BOUNDS = st.sampled_from([Operator.AT_LEAST, Operator.AT_MOST])
EQUALS = st.just(Operator.EQUALS)
ANY_FILTER: st.SearchStrategy[Filter] = st.recursive(
    st.one_of(
        st.just(IN_STOCK),
        st.builds(Condition, st.just("price"), BOUNDS, st.integers(-1, 12).map(float)),
        st.builds(Condition, st.just("attributes.colour"), EQUALS, st.sampled_from(["red", "blue", "green"])),
        st.builds(Condition, st.just("categories"), EQUALS, st.sampled_from(["Drama", "comedy"])),
    ),
    lambda parts: st.builds(Not, parts) | st.lists(parts, min_size=1, max_size=3).map(lambda all_of: AllOf((*all_of,))),
    max_leaves=3,
)


@settings(max_examples=150, deadline=None)
@given(
    wanted=ANY_FILTER,
    history=st.lists(st.sampled_from(ITEM_IDS), max_size=12, unique=True),
    context=st.sampled_from([{}, {"gender": "F"}, {"gender": "X"}]),
    preferred=st.sampled_from([(), ("drama",)]),
    k=st.integers(1, 13),
    anchor=st.none() | st.sampled_from(ITEM_IDS),
    quotas=st.sampled_from([QUOTAS, {**QUOTAS, "popular": 0}, {"content": 1, "covisitation": 1}]),
    weight=st.sampled_from([0.3, 1.0]),
)
def test_under_any_filter_the_slate_holds_k_items_where_k_exist_and_all_of_them_pass(
    wanted: Filter,
    history: list[str],
    context: dict[str, str],
    preferred: tuple[str, ...],
    k: int,
    anchor: str | None,
    quotas: dict[str, int],
    weight: float,
) -> None:
    release = distinct_texts(made_up_release(quotas=quotas, relevance_weight=weight))
    allowed = release.filters.allowed(wanted)
    assert allowed is not None
    slate = ask(
        release,
        made_up_reader({"u1": history} if history else {}),
        user_id="u1",
        context=context,
        preferences=Preferences(categories=preferred),
        k=k,
        surface=Surface.ITEM if anchor else Surface.HOME,
        item_id=anchor,
        filter=wanted,
    )
    left = set(release.catalogue.ids.external(allowed.item_idx)) - {*history, anchor}
    assert slate.degraded == ()
    assert len(set(shown(slate))) == len(slate.items) == min(k, len(left))
    assert set(shown(slate)) <= left


def test_a_filter_holds_before_the_best_are_chosen_and_not_after() -> None:
    slate = ask(distinct_texts(made_up_release()), user_id="u1", filter=Condition("price", Operator.AT_MOST, 5.0))
    assert shown(slate) == ["i15", "i14", "i13"]  # without it, i21 to i19


def test_what_nobody_touched_fills_the_places_behind_what_is_popular() -> None:
    slate = ask(distinct_texts(made_up_release()), k=5, filter=Condition("price", Operator.AT_LEAST, 6.0))
    assert slate.tier is Tier.POPULAR
    assert shown(slate) == ["i16", "i17", "i18", "i19", "i20"]
    assert {item.source for item in slate.items[2:]} == {"popular"}


def test_fallbacks_obey_the_filter_too() -> None:
    release = distinct_texts(made_up_release())
    away = AwayReader(made_up_reader(HISTORIES))
    for slate, missing in (
        (ask(with_failing(release, "covisitation"), user_id="u1", filter=IN_STOCK), ("generator:covisitation",)),
        (ask(release, reader=away, user_id="u1", filter=IN_STOCK), ("features",)),
        (ask(with_ranker(release, BrokenRanker()), user_id="u1", filter=IN_STOCK), ("ranker",)),
    ):
        assert slate.degraded == missing
        assert len(slate.items) == 3
        assert not {"i10", "i14", "i18"} & set(shown(slate))


def test_a_filter_the_release_cannot_apply_is_refused() -> None:
    release = distinct_texts(made_up_release())
    with pytest.raises(UnknownId, match=r"r-made-up has no field 'attributes\.size'"):
        ask(release, filter=Condition("attributes.size", Operator.EQUALS, "XL"))
    with pytest.raises(WrongInput, match=r"attributes\.colour is text"):
        ask(release, filter=Condition("attributes.colour", Operator.EQUALS, 3.0))


@pytest.mark.parametrize(
    "fields", [{"user_id": "u1"}, {"context": {"gender": "F"}}, {"preferences": Preferences(categories=("drama",))}, {}]
)
def test_a_generator_that_is_off_is_asked_in_no_tier_though_it_has_the_quota_0(fields: dict[str, Any]) -> None:
    whole = made_up_release(quotas=dict.fromkeys(QUOTAS, 0) | {"popular": 12})
    without = {name: one for name, one in whole.generators.items() if name in ("popular", "covisitation")}
    slate = ask(replace(whole, generators=without), k=2, **fields)
    assert slate.degraded == ()
    assert {item.source for item in slate.items} == {"popular"}
