"""The test window comes back from files as it was asked, for releases that know other items too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import ArtefactError, NotComparable, ReleaseMismatch
from contracts.features import FeatureSpec, History
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import Preferences, RecommendRequest
from feature_store.values.values import FeatureSchemas
from recommender.exclusion import ExclusionRule
from recommender.ragged import RaggedItems
from release.evaluation.cases import COLD_SESSION, WARM, EvaluationCase
from release.evaluation.measured_window import CASES, POPULARITY, MeasuredWindow, save_cases, values_for
from release.evaluation.wanted_of_both import wanted_of_both
from tests.unit.release.made_up_release import NOW, clicks, made_up_release, made_up_values, schemas

RELEASE = made_up_release()
ALL_ITEMS = RELEASE.catalogue.ids
POPULAR = np.linspace(0, 1, len(ALL_ITEMS)).astype(np.float32)
HISTORIES = {"u1": ["i10", "i11"], "u2": ["i20"]}


def case(user_id: str, *relevant: int) -> EvaluationCase:
    return EvaluationCase(
        user_id, RecommendRequest(f"warm/{user_id}", UserId(user_id)), NOW, np.array(relevant, np.int32)
    )


def visitor() -> EvaluationCase:
    request = RecommendRequest("cold_session/u9", session_id=SessionId("cold_session/u9"))
    return EvaluationCase("u9", request, NOW, np.array([9], np.int32), clicks("i21", "i20"))


def window_of(folder: Path, groups: dict[str, tuple[EvaluationCase, ...]]) -> MeasuredWindow:
    save_cases(folder, groups, ALL_ITEMS, POPULAR)
    cases, popularity = (pl.read_parquet(folder / name) for name in (CASES, POPULARITY))
    return MeasuredWindow(NOW, cases, popularity, values_for(folder, made_up_values(HISTORIES)))


def same(one: EvaluationCase, other: EvaluationCase) -> bool:
    arrays = zip(vars(one.session).values(), vars(other.session).values(), strict=True)
    return (
        (one.user_id, one.request, one.now) == (other.user_id, other.request, other.now)
        and one.relevant.tolist() == other.relevant.tolist()
        and all(np.array_equal(ours, theirs, equal_nan=ours.dtype == np.float32) for ours, theirs in arrays)
    )


def test_groups_and_people_keep_their_order(tmp_path: Path) -> None:
    groups = {WARM: (case("u2", 9), case("u1", 11, 3)), COLD_SESSION: (visitor(),)}
    found = window_of(tmp_path, groups).cases_for(ALL_ITEMS, ALL_ITEMS)
    assert list(found) == [WARM, COLD_SESSION]
    assert [one.user_id for one in found[WARM]] == ["u2", "u1"]
    assert same(found[COLD_SESSION][0], visitor())


TEXT = st.text(max_size=8)
ITEM_IDX = st.lists(st.integers(0, len(ALL_ITEMS) - 1), max_size=5).map(lambda items: np.array(items, np.int32))


@st.composite
def cases(draw: st.DrawFn) -> EvaluationCase:
    session = draw(ITEM_IDX)
    seconds = draw(st.lists(st.integers(0, 2**40), min_size=len(session), max_size=len(session)))
    values = draw(st.lists(st.floats(width=32), min_size=len(session), max_size=len(session)))
    request = RecommendRequest(
        draw(TEXT),
        draw(st.none() | TEXT.map(UserId)),
        draw(st.none() | TEXT.map(SessionId)),
        preferences=Preferences((draw(TEXT),), (ItemId(draw(TEXT)),)),
        context=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        k=draw(st.integers(1, 50)),
    )
    moment = draw(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 in UTC
    history = History.without_types(session, np.array(seconds, np.int64), np.array(values, np.float32))
    return EvaluationCase(draw(TEXT), request, moment, draw(ITEM_IDX), history)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(cases(), min_size=1, max_size=3))
def test_every_question_comes_back_as_it_was(tmp_path: Path, asked: list[EvaluationCase]) -> None:
    found = window_of(tmp_path, {WARM: tuple(asked)}).cases_for(ALL_ITEMS, ALL_ITEMS)[WARM]
    assert all(same(one, other) for one, other in zip(asked, found, strict=True))


def test_equal_questions_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_cases(tmp_path / name, {WARM: (case("u1", 1),), COLD_SESSION: (visitor(),)}, ALL_ITEMS, POPULAR)
    for name in (CASES, POPULARITY):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_only_the_people_asked_about_and_all_items_travel_along(tmp_path: Path) -> None:
    values = window_of(tmp_path, {WARM: (case("u1", 11),), COLD_SESSION: (visitor(),)}).values
    assert values.users["user_id"].to_list() == values.histories["user_id"].to_list() == ["u1"]
    assert values.items.height == len(ALL_ITEMS)


def test_a_release_that_lacks_an_item_hears_nothing_of_it_and_it_stays_wanted(tmp_path: Path) -> None:
    fewer = IdMap.of(item for item in ALL_ITEMS.ids if item not in ("i10", "i21"))
    window = window_of(tmp_path, {WARM: (case("u1", 11, 3),), COLD_SESSION: (visitor(),)})
    asked = window.cases_for(fewer, ALL_ITEMS)
    assert asked[WARM][0].relevant.tolist() == [11, 3]
    assert asked[COLD_SESSION][0].session.item_idx.tolist() == [fewer.index(ItemId("i20"))]
    reader = window.reader(schemas(), fewer)
    person = reader.read_person(UserId("u1"), None, NOW)
    assert person.history.item_idx.tolist() == [fewer.index(ItemId("i11"))]
    assert person.features.values.tolist() == [[2]]  # what was counted offline stays counted


def test_what_any_rule_excludes_is_wanted_no_more_and_who_wants_nothing_else_is_not_asked(tmp_path: Path) -> None:
    known = {item: ALL_ITEMS.index(ItemId(item)) for item in ("i10", "i11", "i20", "i21")}
    stranger = replace(visitor(), relevant=np.array([known["i21"], 9], np.int32))
    groups = {WARM: (case("u1", known["i10"], known["i20"]), case("u2", known["i20"])), COLD_SESSION: (stranger,)}
    window = window_of(tmp_path, groups)
    left = window.excluding([ExclusionRule(days=0.0), ExclusionRule()]).cases_for(ALL_ITEMS, ALL_ITEMS)
    assert [(one.user_id, one.relevant.tolist()) for one in left[WARM]] == [("u1", [known["i20"]])]
    assert same(left[COLD_SESSION][0], replace(stranger, relevant=np.array([9], np.int32)))
    assert window.excluding([ExclusionRule(days=0.0)]).cases.equals(window.cases)  # what excludes nothing


def test_where_nobody_wanted_what_both_may_show_there_is_nothing_to_compare(tmp_path: Path) -> None:
    window = window_of(tmp_path, {WARM: (case("u2", ALL_ITEMS.index(ItemId("i20"))),)})
    rules = {"A": RELEASE.request, "B": RELEASE.request.model_copy(update={"excluded_days": 0.5})}
    assert wanted_of_both(window, {"A": rules["A"], "B": rules["A"]}) == (window, "")
    with pytest.raises(NotComparable, match=r"B: excluding_events null, excluded_days 0\.5\), and nobody"):
        wanted_of_both(window, rules)


def test_a_feature_that_the_window_lacks_is_named_beside_those_it_has(tmp_path: Path) -> None:
    known = schemas()
    other = FeatureSchemas(replace(known.user, features=(FeatureSpec("user_mood", 0.0, 9),)), known.item)
    with pytest.raises(ReleaseMismatch, match=r"user features user_mood, .* they have user_event_count"):
        window_of(tmp_path, {WARM: (case("u1", 11),)}).reader(other, ALL_ITEMS)


def test_the_judge_is_of_the_releases_own_catalogue(tmp_path: Path) -> None:
    window = window_of(tmp_path, {WARM: (case("u1", 11),)})
    judge = window.judge(RELEASE, 2)
    assert judge.popularity == pytest.approx(POPULAR)
    slate, nothing = RaggedItems.of([np.array([11, 0], np.int32)]), RaggedItems.of([np.array([], np.int32)])
    assert judge.values(slate, nothing, nothing)["popularity_share_at_2"] == [1 / 2]
    with pytest.raises(ReleaseMismatch, match=r"popularity\.parquet is of the 11 items"):
        replace(window, popularity=window.popularity.head(11)).judge(RELEASE, 2)


@pytest.mark.parametrize(
    ("column", "value"),
    [("request", "{}"), ("request", "["), ("request", "[]"), ("request", '{"k": "ten"}'), ("wanted", ["i99"])],
)
def test_a_question_that_makes_no_sense_is_an_artefact_error(tmp_path: Path, column: str, value: object) -> None:
    window = window_of(tmp_path, {WARM: (case("u1", 11),)})
    damaged = window.cases.with_columns(pl.Series(column, [value], window.cases.schema[column]))
    with pytest.raises(ArtefactError, match=r"cases\.parquet is damaged"):
        replace(window, cases=damaged).cases_for(ALL_ITEMS, ALL_ITEMS)
