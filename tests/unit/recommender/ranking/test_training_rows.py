from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import numpy as np
import polars as pl
import pytest

from contracts.errors import DataTooSmall, ReleaseMismatch
from contracts.features import Entity, FeatureSchema, FeatureSpec, History, ReadRows
from contracts.tables import INTERACTIONS_SCHEMA, CanonicalTables
from recommender.catalogue import Catalogue
from recommender.exclusion import ExclusionRule
from recommender.generators.base import EncodedQueries, Generator
from recommender.generators.sets import fit_at_each
from recommender.interactions import Interactions
from recommender.query import QueryBatch
from recommender.ranking.feature_tables import PointInTimeRows
from recommender.ranking.training_queries import SampledPeople, TrainingQuery, sample_people, training_queries
from recommender.ranking.training_rows import (
    MIN_SNAPSHOTS,
    Fit,
    RankingInputs,
    build_ranking_rows,
    build_rows_of_cutoffs,
)
from tests.recommender_worlds import CANDIDATE_SETTINGS, START, Schemas, feature_rows, proposed
from tests.worlds import small_world

MOMENT, END = START + timedelta(days=60), START + timedelta(days=70)
QUOTAS = {"als": 10, "popular": 10, "covisitation": 10}
SECOND = timedelta(seconds=1)
GUEST = "new"  # at this snapshot, by the toss


def feature_table(entity: str, names: list[str], ids: list[str], moments: list[datetime]) -> pl.DataFrame:
    rows = [(key, moment, *(float(hash_free(key, name)) for name in names)) for moment in moments for key in ids]
    return pl.DataFrame(rows, schema=[f"{entity}_id", "as_of", *names], orient="row")


def hash_free(key: str, name: str) -> int:
    return (int(key[1:]) * 7 + len(name)) % 100


def ranking_inputs(tables: CanonicalTables) -> RankingInputs:
    return ranking_inputs_at(tables, [MOMENT, END])


def ranking_inputs_at(tables: CanonicalTables, moments: list[datetime]) -> RankingInputs:
    schemas = Schemas()
    catalogue = Catalogue.from_items(tables.items)
    fit = partial(fits_at, tables, catalogue)
    return RankingInputs(
        tables=tables,
        ids=catalogue.ids,
        users=PointInTimeRows(
            feature_table("user", list(schemas.user.names), tables.users["user_id"].to_list(), moments), schemas.user
        ),
        items=PointInTimeRows(
            feature_table("item", list(schemas.item.names), list(catalogue.ids.ids), moments), schemas.item
        ),
        schemas=schemas,
        segments={},
        fit_generators=fit,
        cold_start_row=cold_start_row,
        quotas=QUOTAS,
        n_ranked=30,
        history_length=100,
    )


def cold_start_row(done: History, now: datetime) -> ReadRows:
    """Its one value tells what was asked: how much was done, and at which second of the minute."""
    return feature_rows([[1000 * len(done) + now.second]])


def fits_at(tables: CanonicalTables, catalogue: Catalogue, moments: Sequence[datetime]) -> list[Fit]:
    fits = fit_at_each(tables, [(moment, catalogue) for moment in moments], CANDIDATE_SETTINGS, seed=1)
    return [(catalogue, generators) for generators in fits]


def with_event(tables: CanonicalTables, user_id: str, item_id: str, at: datetime) -> CanonicalTables:
    added = pl.DataFrame([(user_id, item_id, "rating", at, 5.0, None, None)], schema=INTERACTIONS_SCHEMA, orient="row")
    return replace(tables, interactions=pl.concat([tables.interactions, added]))


@pytest.fixture(scope="module")
def tables() -> CanonicalTables:
    return small_world(n_events=1200)


@pytest.fixture(scope="module")
def rows(tables):
    return build_ranking_rows(ranking_inputs(tables), [(MOMENT, END)])


def test_an_event_at_or_after_the_label_window_changes_no_row(tables, rows):
    for at in (END, END + SECOND, END + timedelta(days=300)):
        later = build_ranking_rows(ranking_inputs(with_event(tables, "u500", "i1007", at)), [(MOMENT, END)])
        assert later.values.tobytes() == rows.values.tobytes()
        assert later.labels.tobytes() == rows.labels.tobytes()


def test_an_event_in_the_label_window_changes_labels_and_nothing_that_is_known(tables, rows):
    user_id, item_id = negative_candidate(tables)
    for at in (MOMENT, END - SECOND):
        later = build_ranking_rows(ranking_inputs(with_event(tables, user_id, item_id, at)), [(MOMENT, END)])
        assert later.values.tobytes() == rows.values.tobytes()
        assert later.labels.sum() == rows.labels.sum() + 1


def test_an_event_just_before_the_snapshot_is_known(tables, rows):
    earlier = build_ranking_rows(ranking_inputs(with_event(tables, "u500", "i1007", MOMENT - SECOND)), [(MOMENT, END)])
    assert earlier.values.tobytes() != rows.values.tobytes()


def negative_candidate(tables: CanonicalTables) -> tuple[str, str]:
    """Somebody with a query already, and an item proposed to them that they neither knew nor then touched."""
    inputs = ranking_inputs(tables)
    ((_, generators),) = inputs.fit_generators([MOMENT])
    for asked in training_queries(Interactions.of(tables.interactions, inputs.ids), MOMENT, END, 100, {}):
        items, _ = proposed(generators["als"], asked.query, 10)
        if asked.query.now == int(MOMENT.timestamp()) and np.isin(items, asked.positives).any():
            negatives = items[~np.isin(items, asked.positives)]
            return asked.user_id, inputs.ids.external(negatives)[0]
    raise AssertionError("The small world has nobody to test with.")


def test_rows_of_one_query_stand_together_and_each_query_has_a_positive(rows):
    assert rows.group_sizes.sum() == len(rows.labels) == len(rows.values)
    assert len(rows.moments) == len(rows.group_sizes)
    starts = np.concatenate([[0], np.cumsum(rows.group_sizes)[:-1]])
    assert np.add.reduceat(rows.labels, starts).min() >= 1
    column = rows.names.index("user_event_count_total")
    for start, size in zip(starts, rows.group_sizes, strict=True):
        assert len(set(rows.values[start : start + size, column])) == 1


def test_nothing_already_seen_is_proposed_or_labelled(tables):
    inputs = ranking_inputs(tables)
    interactions = Interactions.of(tables.interactions, inputs.ids)
    for asked in training_queries(interactions, MOMENT, END, 100, {}):
        assert not np.isin(asked.positives, asked.query.history.item_idx).any()
        assert np.isin(asked.query.history.item_idx, asked.query.excluded).all()


def test_histories_end_before_the_snapshot_and_positives_begin_at_it():
    times = [MOMENT - SECOND, MOMENT, END - SECOND, END]
    rows = [("u1", f"i{1000 + number}", "view", at, None, None, None) for number, at in enumerate(times)]
    interactions = pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row")
    interactions = Interactions.of(interactions, Catalogue.from_items(small_world().items).ids)
    (asked,) = training_queries(interactions, MOMENT, END, 100, {})
    assert asked.query.history.item_idx.tolist() == [0]
    assert asked.positives.tolist() == [1, 2]
    assert asked.query.now == int(MOMENT.timestamp())


def test_somebody_new_is_asked_about_after_their_first_two_events():
    rows = [
        ("u1", f"i{1000 + number}", "view", MOMENT + timedelta(minutes=number), None, None, None) for number in range(4)
    ]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    (asked,) = training_queries(interactions, MOMENT, END, 100, {})
    assert asked.query.history.item_idx.tolist() == [0, 1]
    assert asked.positives.tolist() == [2, 3]
    assert asked.query.now == int((MOMENT + timedelta(minutes=1)).timestamp()) + 1


def test_a_guest_has_the_defaults_and_a_published_row_is_read_by_name():
    def event(user_id: str, minutes: int):
        return (user_id, f"i{1000 + minutes % 7}", "view", MOMENT + timedelta(minutes=minutes), None, None, None)

    rows = [event("known", -1), event("known", 1), *(event(GUEST, minutes) for minutes in (2, 3, 4))]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    asked = [(one.user_id, one.is_new) for one in training_queries(interactions, MOMENT, END, 100, {})]
    assert asked == [("known", False), (None, True)]
    schema = Schemas().user
    table = PointInTimeRows(feature_table("user", list(schema.names), ["u1"], [MOMENT]), schema).as_of(MOMENT)
    nobody = table.read([None])
    assert nobody.values.tolist() == [schema.defaults.tolist()]
    assert not nobody.known.any()


def newcomers(*user_ids: str, minutes: int = 0) -> Interactions:
    rows = [
        (user_id, f"i{1000 + number}", "view", MOMENT + timedelta(minutes=minutes + number), None, None, None)
        for user_id in user_ids
        for number in range(3)
    ]
    return Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )


def test_half_of_the_newcomers_are_signed_in_and_others_at_another_snapshot():
    people = [f"u{number}" for number in range(200)]
    first, second = (
        [asked.user_id for asked in training_queries(newcomers(*people), moment, END, 100, {})]
        for moment in (MOMENT, MOMENT - SECOND)
    )
    assert 70 < first.count(None) < 130
    assert [user_id for user_id in first if user_id] == [
        user_id for user_id, found in zip(sorted(people), first, strict=True) if found
    ]
    assert first != second


def test_whether_somebody_new_is_signed_in_says_nothing_of_whether_they_tell_their_circumstances():
    people = [f"u{number}" for number in range(400)]
    segments = {user_id: {"device": "phone"} for user_id in people}
    asked = training_queries(newcomers(*people), MOMENT, END, 100, segments)
    kinds = Counter((one.user_id is None, bool(one.query.segment)) for one in asked)
    assert len(kinds) == 4
    assert min(kinds.values()) > 70


def test_half_of_the_newcomers_tell_their_circumstances_and_others_at_another_snapshot():
    people = [f"u{number}" for number in range(200)]
    segments = {user_id: {"device": "phone"} for user_id in people}
    interactions = newcomers(*people)
    first, second = (
        [asked.query.segment for asked in training_queries(interactions, moment, END, 100, segments)]
        for moment in (MOMENT, MOMENT - SECOND)
    )
    assert 70 < sum(segment == {"device": "phone"} for segment in first) < 130
    assert first.count({}) == len(people) - first.count({"device": "phone"})
    assert first != second


def test_who_else_comes_changes_nothing_about_who_signs_in_or_tells():
    segments = {f"u{number}": {"device": "phone"} for number in range(40)}
    few, many = (newcomers(*(f"u{number}" for number in range(0, 40, step))) for step in (2, 1))
    alone, among = (
        [(one.user_id, one.query.segment) for one in training_queries(interactions, MOMENT, END, 100, segments)]
        for interactions in (few, many)
    )
    by_name = dict(zip(many.user_ids, among, strict=True))
    assert alone == [by_name[user_id] for user_id in few.user_ids]
    assert {user_id is None for user_id, _ in alone} == {True, False}
    assert {bool(segment) for _, segment in alone} == {True, False}


def test_people_with_a_history_tell_no_circumstances_for_the_data_knows_those_of_first_visits_alone():
    people = [f"u{number}" for number in range(40)]
    segments = {user_id: {"device": "phone"} for user_id in people}
    asked = list(training_queries(newcomers(*people, minutes=-1), MOMENT, END, 100, segments))
    assert len(asked) == 40
    assert all(one.query.segment == {} for one in asked)


def world_with_newcomers(tables: CanonicalTables) -> RankingInputs:
    """With u700 to u739, who come after the snapshot, each on a second of their own; the table says -5 of them."""
    new = pl.DataFrame(
        [
            (f"u{700 + person}", f"i{1000 + (3 * person + number) % 40}", "view", at, None, None, None)
            for person in range(40)
            for number, at in enumerate(MOMENT + timedelta(hours=number, seconds=person) for number in range(6))
        ],
        schema=INTERACTIONS_SCHEMA,
        orient="row",
    )
    inputs = ranking_inputs(replace(tables, interactions=pl.concat([tables.interactions, new])))
    names = list(inputs.schemas.user.names)
    rows = feature_table("user", names, [f"u{700 + person}" for person in range(40)], [MOMENT])
    table = pl.concat([inputs.users.table, rows.with_columns(pl.lit(-5.0).alias(name) for name in names)])
    return replace(inputs, users=replace(inputs.users, table=table))


def test_what_newcomers_tell_reaches_the_rankers_input(tables):
    inputs = world_with_newcomers(tables)
    told = replace(inputs, segments={f"u{700 + person}": {"device": "phone"} for person in range(40)})
    counts = build_ranking_rows(told, [(MOMENT, END)])
    column = counts.names.index("context_attribute_count")
    assert set(counts.values[:, column]) == {0, 1}
    untold = build_ranking_rows(inputs, [(MOMENT, END)])
    assert set(untold.values[:, untold.names.index("context_attribute_count")]) == {0}


def test_somebody_signed_in_without_a_published_row_has_what_serving_makes_of_their_first_events(tables):
    inputs = world_with_newcomers(tables)
    rows = build_ranking_rows(inputs, [(MOMENT, END)])
    found = set(rows.values[:, rows.names.index("user_event_count_total")].tolist())
    assert -5 not in found
    # Two events, asked about one second after the second of them.
    made = {value for value in found if value >= 1000}
    names = {asked.user_id for asked in asked_in(inputs) if asked.is_new and asked.user_id}
    assert made <= {2000 + int(name[1:]) - 700 + 1 for name in names}
    assert len(made) > 10


def asked_in(inputs: RankingInputs) -> list[TrainingQuery]:
    interactions = Interactions.of(inputs.tables.interactions, inputs.ids)
    return list(training_queries(interactions, MOMENT, END, inputs.history_length, inputs.segments))


def test_only_the_latest_events_are_remembered_and_older_ones_still_excluded():
    rows = [
        ("u1", f"i{1000 + number}", "view", MOMENT + timedelta(minutes=number - 4), None, None, None)
        for number in range(6)
    ]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    (asked,) = training_queries(interactions, MOMENT, END, history_length=2, segments={})
    assert asked.query.history.item_idx.tolist() == [2, 3]
    assert asked.query.excluded.tolist() == [0, 1, 2, 3]


def test_what_was_taken_back_before_the_snapshot_is_in_no_history_and_still_excluded():
    days = timedelta(days=1)
    told = [("i1000", "purchase", -3), ("i1001", "purchase", -2), ("i1000", "return", -1), ("i1001", "return", 1)]
    rows = [("u1", item_id, kind, MOMENT + number * days, None, None, None) for item_id, kind, number in told]
    rows.append(("u1", "i1002", "view", MOMENT + SECOND, None, None, None))
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    (asked,) = training_queries(interactions, MOMENT, END, 100, {})
    assert asked.query.history.item_idx.tolist() == [1]
    assert asked.query.excluded.tolist() == [0, 1]
    assert asked.positives.tolist() == [2]


def test_somebody_new_who_brought_back_the_first_thing_they_bought_has_done_the_second_alone():
    told = [("i1000", "purchase", 0), ("i1000", "return", 1), ("i1001", "view", 2), ("i1002", "view", 3)]
    rows = [
        ("u1", item_id, kind, MOMENT + timedelta(minutes=minute), None, None, None) for item_id, kind, minute in told
    ]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    (asked,) = training_queries(interactions, MOMENT, END, 100, {})
    assert asked.query.history.item_idx.tolist() == [1]
    assert (asked.query.excluded.tolist(), asked.positives.tolist()) == ([0, 1], [2])


def test_what_may_be_shown_again_is_proposed_again_and_may_be_a_positive():
    days = [timedelta(days=-3), timedelta(days=-1), timedelta(seconds=1), timedelta(seconds=2)]
    rows = [
        ("u1", f"i{1000 + number % 2}", "view", MOMENT + after, None, None, None) for number, after in enumerate(days)
    ]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    assert list(training_queries(interactions, MOMENT, END, 100, {})) == []
    (asked,) = training_queries(interactions, MOMENT, END, 100, {}, ExclusionRule(days=2))
    assert (asked.query.excluded.tolist(), asked.positives.tolist()) == ([1], [0])


def test_a_person_without_a_row_gets_the_defaults_and_is_not_known():
    schemas = Schemas()
    table = feature_table("item", list(schemas.item.names), ["i1000"], [MOMENT]).with_columns(
        item_value_mean_total=pl.lit(None, pl.Float64)
    )
    read = PointInTimeRows(table, schemas.item).as_of(MOMENT).read(["i1000", "i9999"])
    assert read.known.tolist() == [True, False]
    assert read.values[0, 1] == 3.5  # missing, and therefore the default
    assert read.values[1].tolist() == [0.0, 3.5]


def test_a_table_without_a_feature_of_the_schema_is_refused():
    table = feature_table("item", ["item_event_count_total"], ["i1000"], [MOMENT])
    with pytest.raises(ReleaseMismatch, match="item_value_mean_total"):
        PointInTimeRows(table, Schemas().item)


def test_generators_that_propose_no_positive_are_an_error(tables):
    silent = replace(ranking_inputs(tables), quotas={"als": 0})
    with pytest.raises(DataTooSmall, match="At no snapshot"):
        build_ranking_rows(silent, [(MOMENT, END)])


def test_what_is_known_in_no_row_is_left_out_of_the_rankers_input(rows):
    assert "pair_price_gap_all" not in rows.names  # nothing has a price here
    assert "pair_category_lift_all" in rows.names
    assert rows.values.shape == (len(rows.labels), len(rows.names))


def test_every_query_has_the_moment_of_its_snapshot(rows):
    assert set(rows.moments) == {int(MOMENT.timestamp())}


def test_of_many_people_as_many_are_asked_about_as_the_bound_says_and_stand_for_the_others():
    people = newcomers(*(f"u{number}" for number in range(200)))
    everybody = sample_people(people, MOMENT, END)
    assert (len(everybody.user_idx), everybody.weight) == (200, 1)
    some = sample_people(people, MOMENT, END, max_people=50)
    assert (len(some.user_idx), some.weight) == (50, 4)
    assert some.user_idx.tolist() == sorted(set(some.user_idx.tolist()))
    asked = list(training_queries(people, MOMENT, END, 100, {}, people=some))
    assert len(asked) == 50


def test_the_lot_falls_by_person_and_snapshot_alone():
    names = [f"u{number}" for number in range(200)]
    few, many = newcomers(*names[:120]), newcomers(*names)
    drawn = names_of(few, sample_people(few, MOMENT, END, max_people=40))
    among_more = names_of(many, sample_people(many, MOMENT, END, max_people=80))
    ahead = [name for name in among_more if name in set(names[:120])]
    assert set(ahead) <= set(drawn) or set(drawn) <= set(ahead)
    assert drawn != names_of(few, sample_people(few, MOMENT - SECOND, END, max_people=40))


def names_of(interactions: Interactions, people: SampledPeople) -> list[str]:
    return [interactions.user_ids[user_idx] for user_idx in people.user_idx.tolist()]


def test_whoever_did_nothing_in_the_window_or_came_for_two_events_only_is_not_asked_about():
    rows = [
        ("before", "i1000", "view", MOMENT - SECOND, None, None, None),
        *(("came for two", f"i{1000 + n}", "view", MOMENT + n * SECOND, None, None, None) for n in range(2)),
        *(("came for three", f"i{1000 + n}", "view", MOMENT + n * SECOND, None, None, None) for n in range(3)),
        ("came back", "i1000", "view", MOMENT - SECOND, None, None, None),
        ("came back", "i1001", "view", MOMENT, None, None, None),
        ("too late", "i1000", "view", MOMENT - SECOND, None, None, None),
        ("too late", "i1001", "view", END, None, None, None),
    ]
    interactions = Interactions.of(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA, orient="row"), Catalogue.from_items(small_world().items).ids
    )
    assert names_of(interactions, sample_people(interactions, MOMENT, END)) == ["came back", "came for three"]


def windows_of_days(*days: int) -> list[tuple[datetime, datetime]]:
    return [(MOMENT - timedelta(days=day), MOMENT - timedelta(days=day - 4)) for day in days]


def test_the_latest_snapshots_are_learnt_from_until_the_bound_is_met(tables):
    windows = windows_of_days(*range(40, 4, -4))
    inputs = ranking_inputs_at(tables, [*(moment for moment, _ in windows), MOMENT])
    every = build_ranking_rows(inputs, windows)
    assert np.unique(every.moments).tolist() == [int(moment.timestamp()) for moment, _ in windows]
    assert (every.weights == 1).all()
    bounded = build_ranking_rows(replace(inputs, max_queries=MIN_SNAPSHOTS * 3), windows)
    learnt, n_queries = np.unique(bounded.moments, return_counts=True)
    latest = [int(moment.timestamp()) for moment, _ in windows[-len(learnt) :]]
    assert learnt.tolist() == latest
    assert MIN_SNAPSHOTS <= len(learnt) < len(windows)
    interactions = Interactions.of(tables.interactions, inputs.ids)
    n_asked = [len(sample_people(interactions, *window, max_people=3).user_idx) for window in windows[-len(learnt) :]]
    assert sum(n_asked[1:]) < MIN_SNAPSHOTS * 3 <= sum(n_asked)  # the earliest was needed, and none before it
    assert n_queries.max() <= 3
    assert bounded.weights.max() > 1
    assert (np.diff(bounded.moments) >= 0).all()


def test_cutoffs_share_the_rows_of_their_common_snapshots_and_each_moment_is_fitted_once(tables):
    windows = windows_of_days(40, 36, 32, 28, 24)
    inputs, fitted = ranking_inputs_at(tables, [moment for moment, _ in windows]), []

    def counted(moments: Sequence[datetime]) -> list[Fit]:
        fitted.extend(moments)
        return list(inputs.fit_generators(moments))

    both = {"test": windows[:4], "all": windows[2:]}
    rows = dict(build_rows_of_cutoffs(replace(inputs, fit_generators=counted), both))
    assert fitted == [moment for moment, _ in windows]
    for cutoff, of_cutoff in both.items():
        assert np.unique(rows[cutoff].moments).tolist() == [int(moment.timestamp()) for moment, _ in of_cutoff]
    shared = [rows["test"].of_queries(rows["test"].moments >= rows["all"].moments.min())]
    shared.append(rows["all"].of_queries(rows["all"].moments <= rows["test"].moments.max()))
    assert shared[0].values.tobytes() == shared[1].values.tobytes()
    assert len(shared[0].group_sizes) > 1


def test_a_bound_that_is_not_met_changes_nothing(tables, rows):
    bounded = build_ranking_rows(replace(ranking_inputs(tables), max_queries=100_000), [(MOMENT, END)])
    assert bounded.values.tobytes() == rows.values.tobytes()


AGED = FeatureSchema(Entity.USER, (FeatureSpec("user_age", 40.0, 9000), FeatureSpec("user_gender_female", 0.5, 9000)))


@dataclass(frozen=True)
class Overhears:
    """A generator, and the segments that it was asked about."""

    generator: Generator
    segments: list[Mapping[str, str]]

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        self.segments.extend(queries.segments)
        return self.generator.encode(queries)


@pytest.mark.parametrize("segments_of_people", [True, False])
def test_what_is_published_of_people_tells_their_segment_and_nothing_of_newcomers(tables, segments_of_people):
    newcomers = ("n1", "n2", "n3", "n4")
    for newcomer, hours in product(newcomers, range(3)):
        tables = with_event(tables, newcomer, f"i100{hours}", MOMENT + timedelta(hours=1 + hours))
    everybody = [*tables.users["user_id"].to_list(), *newcomers]
    table = pl.DataFrame({"user_id": everybody, "as_of": MOMENT, "user_age": 30.0, "user_gender_female": None})
    asked: list[Mapping[str, str]] = []
    inputs = ranking_inputs(tables)
    ((catalogue, generators),) = inputs.fit_generators([MOMENT])
    overheard = {**generators, "popular": Overhears(generators["popular"], asked)}
    schemas = Schemas(user=AGED)
    unknown = ReadRows(AGED.defaults[None], np.zeros(1, bool), np.ones((1, 2), bool), np.zeros(1, np.int64))
    inputs = replace(
        inputs,
        schemas=schemas,
        users=PointInTimeRows(table.with_columns(pl.col("user_gender_female").cast(pl.Float32)), AGED),
        fit_generators=lambda _moments: [(catalogue, overheard)],
        cold_start_row=lambda _done, _now: unknown,
        segments_of_people=segments_of_people,
    )
    build_ranking_rows(inputs, [(MOMENT, END)])
    people = list(training_queries(Interactions.of(tables.interactions, inputs.ids), MOMENT, END, 100, {}))
    told = {"age_band": "25-34"} if segments_of_people else {}
    assert asked == [{} if one.is_new else told for one in people]
    assert {(one.is_new, one.user_id is None) for one in people} == {(False, False), (True, False), (True, True)}
