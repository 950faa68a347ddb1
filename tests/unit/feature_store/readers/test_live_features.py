"""Live features are what the offline store computes at the moment of the request, on the same events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from contracts.events import EVENT_CODES, EventType
from contracts.features import Entity, FeatureSchema, FeatureSpec, History, Person, RecentEvents
from contracts.id_map import IdMap
from contracts.ids import ItemId, UserId
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, UTC_TIME, CanonicalTables
from feature_store.definitions import features_of, views_of
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import AggregateFunction, Aggregation
from feature_store.offline.offline_store import point_in_time_join, values_as_of
from feature_store.offline.recomputation import LoggedEvent, RowKey, expected_rows
from feature_store.online.recent_events import RecentEvent, pack_event, unpack_events
from feature_store.readers.live_features import LIVE_FEATURES, live_features, whole_history, with_live_features
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.readers.ttl_and_defaults import unknown_person
from feature_store.values.values import FeatureSchemas

AS_OF = datetime(2021, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK, SECOND, HOUR, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ITEMS = IdMap.of(["i7", "i8", "i9"])
NAMES = tuple(feature.name for feature in LIVE_FEATURES)

Done = tuple[str, datetime, EventType]
Kinds = tuple[EventType, ...]


def schema_of(entity: Entity) -> FeatureSchema:
    specs = [
        FeatureSpec(feature.name, feature.when_empty or 0.0, view.ttl / DAY) for feature, view in features_of(entity)
    ]
    return FeatureSchema(entity, tuple(specs))


SCHEMAS = FeatureSchemas(schema_of(Entity.USER), schema_of(Entity.ITEM))


def tables(events: dict[str, list[Done]]) -> CanonicalTables:
    rows = [
        {"user_id": user_id, "item_id": item_id, "event_type": str(kind), "event_ts": moment, "value": None}
        for user_id, done in events.items()
        for item_id, moment, kind in done
    ]
    return CanonicalTables(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA),
        pl.DataFrame([{"item_id": item_id, "categories": []} for item_id in ITEMS.ids], schema=ITEMS_SCHEMA),
        pl.DataFrame(schema=USERS_SCHEMA),
    )


def recent(events: list[Done]) -> RecentEvents:
    """The events as a reader finds them in the person's list."""
    packed = [
        pack_event(RecentEvent(kind, ItemId(item_id), (moment - EPOCH) // TICK, float("nan")))
        for item_id, moment, kind in events
    ]
    return unpack_events(packed, ITEMS)


def logged(events: list[Done]) -> tuple[LoggedEvent, ...]:
    """The events as a log tells them."""
    return tuple(LoggedEvent((moment - EPOCH) // TICK, kind, item_id) for item_id, moment, kind in events)


def reader_of(events: dict[str, list[Done]], as_of: datetime = AS_OF, history_length: int = 1000) -> Any:
    return OfflineFeatureReader(values_as_of(tables(events), as_of, history_length, n_threads=1), SCHEMAS, ITEMS)


def published(events: list[Done], as_of: datetime = AS_OF) -> Person:
    return reader_of({"u1": events}, as_of).read_person(UserId("u1"), None, as_of)


def with_recent(person: Person, events: list[Done]) -> Person:
    return Person(person.features, person.history, person.session, recent(events))


def live(person: Person, now: datetime) -> dict[str, float | None]:
    """The live features as of now; None where missing, but 0 of counts, as the offline store has it."""
    rows = with_live_features(person, SCHEMAS.user, now).features
    found: dict[str, float | None] = {}
    for feature in LIVE_FEATURES:
        at = SCHEMAS.user.names.index(feature.name)
        is_there = feature.aggregation.function is AggregateFunction.COUNT or not rows.missing[0, at]
        found[feature.name] = float(rows.values[0, at]) if is_there else None
    return found


def expected(events: dict[str, list[Done]], nows: dict[str, datetime]) -> dict[str, dict[str, float | None]]:
    """By person, what the offline store computes at each one's now."""
    spine = pl.DataFrame({"user_id": list(nows), "as_of": list(nows.values())}, schema_overrides={"as_of": UTC_TIME})
    rows = point_in_time_join(spine, tables(events), Entity.USER, n_threads=1)
    return {row["user_id"]: {name: row[name] for name in NAMES} for row in rows.iter_rows(named=True)}


def clicks(*moments: datetime, item_id: str = "i7") -> list[Done]:
    return [(item_id, moment, EventType.CLICK) for moment in moments]


def of_types(events: list[Done], event_types: tuple[EventType, ...]) -> list[Done]:
    return [done for done in events if not event_types or done[2] in event_types]


EDGES_DAYS = (0, 1, 7, 30, 90, 365, 400)
KINDS = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE, EventType.RATING)
AND_RETURNS = (*KINDS, *[EventType.PURCHASE, EventType.RETURN] * 3)
N_PEOPLE = 60  # of one example: the offline store answers for all of them at once
PEOPLE = [f"u{number}" for number in range(N_PEOPLE)]


@dataclass(frozen=True)
class Deeds:
    """What one person did before and after a row was published, and when they ask; times stand on and around edges."""

    before: list[Done]
    after: list[Done]
    now: datetime

    @classmethod
    def draw(cls, rng: np.random.Generator, *, parts_of_seconds: bool = False, kinds: Kinds = AND_RETURNS) -> Deeds:
        def moment_before() -> datetime:
            days, off = int(rng.choice(EDGES_DAYS)), int(rng.choice([1, 2, 30, 3600, 3601, 80_000]))
            age = timedelta(days=days, seconds=off if not days or rng.random() < 0.4 else -off)
            return AS_OF - age + timedelta(microseconds=int(rng.integers(0, 10**6)) if parts_of_seconds else 0)

        def moment_after() -> datetime:
            seconds = int(rng.choice([0, 1, 2, 30, 3599, 3600, 86_400, 8 * 86_400]))
            return AS_OF + timedelta(seconds=seconds, microseconds=int(rng.choice([0, 1, 500_000, 999_999])))

        # In the second of as_of the row stands as it was published, which is the subject of a test of its own.
        now = max(moment_after(), AS_OF + SECOND)
        return cls(
            _happened(rng, kinds, [moment_before() for _ in range(rng.integers(9))]),
            _happened(
                rng, kinds, [moment for moment in (moment_after() for _ in range(rng.integers(9))) if moment < now]
            ),
            now,
        )

    @property
    def seen_late(self) -> list[Done]:
        """The person's list: what was published already, and one event sent twice, stand in it too."""
        return [*self.before[-2:], *self.after, *self.after[:1]]


def _happened(rng: np.random.Generator, kinds: Kinds, moments: list[datetime]) -> list[Done]:
    drawn = {(str(rng.choice(ITEMS.ids)), moment, kinds[rng.integers(len(kinds))]) for moment in moments}
    return sorted(drawn, key=lambda done: (done[1], done[0], done[2]))


def deeds_of_people(seed: int, **how: Any) -> dict[str, Deeds]:
    rng = np.random.default_rng(seed)
    return {user_id: Deeds.draw(rng, **how) for user_id in PEOPLE}


def found_and_right(people: dict[str, Deeds], history_length: int = 1000) -> dict[str, tuple[dict, dict]]:
    """By person, the live values as of their now, and the offline store's."""
    reader = reader_of({user_id: one.before for user_id, one in people.items()}, AS_OF, history_length)
    right = expected(
        {user_id: one.before + one.after for user_id, one in people.items()},
        {user_id: one.now for user_id, one in people.items()},
    )
    return {
        user_id: (
            live(with_recent(reader.read_person(UserId(user_id), None, one.now), one.seen_late), one.now),
            right[user_id],
        )
        for user_id, one in people.items()
    }


def same_days(found: float | None, right: float | None, within: float) -> bool:
    """Whether both are missing, or no further apart than so many days, beside the rounding of a 32-bit number."""
    if found is None or right is None:
        return found is right
    return found == pytest.approx(right, abs=within + 1e-6 * right, rel=0)


FEW = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
SEEDS = st.integers(0, 2**32 - 1)


@FEW
@given(SEEDS)
def test_live_values_are_the_offline_values_at_now_to_the_bit(seed):
    people = deeds_of_people(seed)
    for user_id, (found, right) in found_and_right(people).items():
        assert found == right, people[user_id]


@FEW
@given(SEEDS)
def test_of_a_history_with_parts_of_seconds_a_count_differs_by_what_fell_into_the_second_of_an_edge(seed):
    people = deeds_of_people(seed, parts_of_seconds=True)
    for user_id, (found, right) in found_and_right(people).items():
        before, now = people[user_id].before, people[user_id].now
        for feature in LIVE_FEATURES:
            if feature.aggregation.function is AggregateFunction.COUNT:
                begins = [moment - (feature.window or 40_000 * DAY) for moment in (AS_OF, now)]
                mine = of_types(before, feature.aggregation.event_types)
                doubtful = sum(abs(done[1] - edge) < SECOND for done in mine for edge in begins)
                assert abs(found[feature.name] - right[feature.name]) <= doubtful, people[user_id]
            else:
                assert same_days(found[feature.name], right[feature.name], within=2 / 86_400)


@FEW
@given(SEEDS, st.integers(1, 4))
def test_of_a_history_that_was_cut_a_count_is_never_too_low_and_too_high_by_no_more_than_left_unseen(
    seed, history_length
):
    people = deeds_of_people(seed, kinds=KINDS)
    for user_id, (found, right) in found_and_right(people, history_length).items():
        now = people[user_id].now
        for feature in LIVE_FEATURES:
            if feature.aggregation.function is not AggregateFunction.COUNT:
                assert same_days(found[feature.name], right[feature.name], within=1 / 86_400)
                continue
            window = feature.window or 40_000 * DAY
            unseen = of_types(people[user_id].before[:-history_length], feature.aggregation.event_types)
            left = sum(AS_OF - window <= moment < now - window for _, moment, _ in unseen)
            assert right[feature.name] <= found[feature.name] <= right[feature.name] + left, people[user_id]


@FEW
@given(SEEDS, st.integers(1, 4))
def test_of_a_history_that_was_cut_a_count_is_too_high_by_no_more_than_was_brought_back_besides(seed, history_length):
    people = deeds_of_people(seed)
    for user_id, (found, right) in found_and_right(people, history_length).items():
        done = people[user_id]
        for feature in LIVE_FEATURES:
            if feature.aggregation.function is AggregateFunction.COUNT:
                window = feature.window or 40_000 * DAY
                left = sum(AS_OF - window <= moment < done.now - window for _, moment, _ in done.before)
                returned = sum(kind is EventType.RETURN for _, _, kind in done.after)
                assert 0 <= found[feature.name] - right[feature.name] <= left + returned, done


@FEW
@given(SEEDS, st.sampled_from([1, 3, 1000]))
def test_what_a_reader_must_give_is_told_to_the_bit_whatever_its_history_lacks(seed, history_length):
    """With parts of seconds in event times and in as_of, and a history that was cut."""
    as_of = AS_OF + 250_000 * TICK
    people = deeds_of_people(seed, parts_of_seconds=True)
    before = {user_id: [done for done in one.before if done[1] < as_of] for user_id, one in people.items()}
    after = {user_id: [done for done in one.after if done[1] >= AS_OF + SECOND] for user_id, one in people.items()}
    world = tables(before)
    values = values_as_of(world, as_of, history_length, n_threads=1)
    reader = OfflineFeatureReader(values, SCHEMAS, ITEMS)
    keys = [RowKey(user_id, as_of, one.now, logged(after[user_id])) for user_id, one in people.items()]
    right = expected_rows(world, SCHEMAS.user, keys, history_length, ITEMS)
    for at, key in enumerate(keys):
        person = reader.read_person(UserId(key.entity_id), None, key.now)
        lately = recent(after[key.entity_id])
        found = with_live_features(replace(person, recent=lately), SCHEMAS.user, key.now).features
        for name in NAMES:
            column = SCHEMAS.user.names.index(name)
            assert (name, found.values[0, column], found.missing[0, column]) == (
                name,
                right.values[at, column],
                right.missing[at, column],
            ), people[key.entity_id]


def test_an_event_of_the_history_counts_as_at_the_beginning_of_its_second():
    as_of = AS_OF + 250_000 * TICK
    person = published(clicks(AS_OF - DAY + 900_000 * TICK, AS_OF - HOUR + 400_000 * TICK), as_of)
    found = live(person, AS_OF + HOUR)
    assert found["user_event_recency_days_total"] == np.float32(2 / 24)
    assert found["user_event_tenure_days_total"] == np.float32(25 / 24)


@pytest.mark.parametrize("as_of", [AS_OF, AS_OF + timedelta(microseconds=250_000)])
def test_at_the_moment_of_publishing_a_row_stands_as_it_was_published(as_of):
    """Golden queries and evaluation ask at this moment: their answers are those of the published row."""
    person = published(clicks(AS_OF - DAY, AS_OF - DAY + 300_000 * TICK, AS_OF - SECOND), as_of)
    assert with_live_features(person, SCHEMAS.user, as_of) is person


def test_a_window_slides_and_days_grow_without_any_event():
    person = published(clicks(AS_OF - timedelta(days=6), AS_OF - HOUR))
    found = live(person, AS_OF + DAY)
    assert (found["user_event_count_1d"], found["user_event_count_7d"]) == (0, 1 + 1)
    assert live(person, AS_OF + DAY + TICK)["user_event_count_7d"] == 1
    assert found["user_event_recency_days_total"] == np.float32(25 / 24)
    assert found["user_event_tenure_days_total"] == 7


def test_somebody_new_is_counted_from_their_first_event_on():
    person = with_recent(unknown_person(SCHEMAS.user), clicks(AS_OF + HOUR, AS_OF + 25 * HOUR))
    found = live(person, AS_OF + 49 * HOUR)
    assert (found["user_event_count_1d"], found["user_event_count_total"]) == (1, 2)
    assert (found["user_event_recency_days_total"], found["user_event_tenure_days_total"]) == (1, 2)
    assert with_live_features(unknown_person(SCHEMAS.user), SCHEMAS.user, AS_OF).features.missing.all()


def test_an_event_of_the_second_of_as_of_counts_unless_the_history_has_it():
    as_of = AS_OF + 500_000 * TICK
    told, untold = AS_OF + 400_000 * TICK, AS_OF + 600_000 * TICK
    person = with_recent(published(clicks(told), as_of), clicks(told) + clicks(untold, item_id="i8"))
    assert live(person, AS_OF + HOUR)["user_event_count_1d"] == 1 + 1


def test_of_a_view_and_a_purchase_in_the_second_of_as_of_the_history_tells_the_one_that_it_has():
    as_of, at = AS_OF + 500_000 * TICK, AS_OF + 400_000 * TICK
    viewed, bought = ("i7", at, EventType.VIEW), ("i7", at + 200_000 * TICK, EventType.PURCHASE)
    found = live(with_recent(published([viewed], as_of), [viewed, bought]), AS_OF + HOUR)
    assert (found["user_view_count_7d"], found["user_purchase_count_7d"], found["user_event_count_7d"]) == (1, 1, 2)


def test_events_of_a_type_are_counted_enter_and_leave_by_themselves():
    done = [("i7", AS_OF - 6 * DAY, EventType.CLICK), ("i8", AS_OF - 5 * DAY, EventType.PURCHASE)]
    person = with_recent(published(done), [("i9", AS_OF + HOUR, EventType.ADD_TO_CART)])
    found = live(person, AS_OF + timedelta(days=1, seconds=1))
    assert [found[f"user_{kind}_count_7d"] for kind in ("click", "purchase", "add_to_cart", "event")] == [0, 1, 1, 2]
    assert found["user_purchase_recency_days_total"] == np.float32(6 + 1 / 86_400)
    assert found["user_add_to_cart_recency_days_total"] == np.float32(23 / 24 + 1 / 86_400)


BOUGHT, AGAIN = ("i8", AS_OF - 6 * DAY, EventType.PURCHASE), ("i8", AS_OF - 2 * DAY, EventType.PURCHASE)
VIEWED = ("i7", AS_OF - 4 * DAY, EventType.VIEW)
BACK = ("i8", AS_OF + HOUR, EventType.RETURN)


@pytest.mark.parametrize(
    ("now", "stands"),
    [(BACK[1] - TICK, True), (BACK[1] + TICK, False)],
    ids=["just before the return", "just after"],
)
def test_a_published_purchase_counts_until_the_person_brings_it_back(now, stands):
    person = published([BOUGHT, VIEWED, AGAIN])
    found = live(with_recent(person, [BACK] if now > BACK[1] else []), now)
    assert found["user_purchase_count_7d"] == (2 if stands else 1)
    assert found["user_event_count_total"] == (3 if stands else 2)
    last = AGAIN if stands else BOUGHT
    assert found["user_purchase_recency_days_total"] == np.float32((now - last[1]) / DAY)
    last = AGAIN if stands else VIEWED
    assert found["user_event_recency_days_total"] == np.float32((now - last[1]) / DAY)
    assert found["user_event_tenure_days_total"] == np.float32((now - BOUGHT[1]) / DAY)


def test_of_somebody_who_brings_everything_back_nothing_is_left_but_defaults():
    now = AS_OF + 2 * HOUR
    person = with_recent(published([BOUGHT]), [BACK])
    assert live(person, now) == live(unknown_person(SCHEMAS.user), now)
    row, nobody = (
        with_live_features(one, SCHEMAS.user, now).features for one in (person, unknown_person(SCHEMAS.user))
    )
    columns = [SCHEMAS.user.names.index(name) for name in NAMES if name.endswith("_days_total")]
    np.testing.assert_array_equal(row.values[:, columns], nobody.values[:, columns])
    assert row.missing[0, columns].all()


def test_what_the_row_tells_to_be_taken_back_takes_nothing_more_back():
    returned = ("i8", AS_OF - DAY, EventType.RETURN)
    person = with_recent(published([BOUGHT, AGAIN, returned]), [AGAIN, returned])
    assert live(person, AS_OF + HOUR)["user_purchase_count_7d"] == 1


def test_a_return_of_an_unknown_item_takes_back_that_item_alone():
    bought = [(item_id, AS_OF + HOUR, EventType.PURCHASE) for item_id in ("new today", "new as well")]
    back = [("new today", AS_OF + 2 * HOUR, EventType.RETURN), ("never sold", AS_OF + 2 * HOUR, EventType.RETURN)]
    person = with_recent(published([]), bought + back)
    assert live(person, AS_OF + 3 * HOUR)["user_purchase_count_7d"] == 1


def test_where_a_history_tells_no_types_a_return_takes_back_only_what_was_bought_since():
    bought = ("i8", AS_OF + TICK, EventType.PURCHASE)
    done, back = without_types(published([BOUGHT])), [BACK, ("i8", AS_OF + 2 * HOUR, EventType.RETURN)]
    assert live(with_recent(done, [bought, *back]), AS_OF + 3 * HOUR)["user_event_count_7d"] == 1


def test_the_whole_history_lacks_what_was_brought_back_and_tells_it_beside():
    taken_today = ("i9", AS_OF + HOUR, EventType.PURCHASE)
    returned = [BACK, ("i9", AS_OF + 2 * HOUR, EventType.RETURN)]
    done = whole_history(with_recent(published([BOUGHT, VIEWED, AGAIN]), [taken_today, *returned]))
    assert [ITEMS.ids[at] for at in done.standing.item_idx] == ["i8", "i7"]
    assert [ITEMS.ids[at] for at in done.taken_back.item_idx] == ["i8", "i9"]
    assert sorted(done.touched.item_idx) == sorted(ITEMS.indices(["i8", "i7", "i8", "i9"]))


def test_a_return_in_the_session_before_the_row_takes_nothing_back_that_the_row_has_left():
    returned = ("i8", AS_OF - DAY, EventType.RETURN)
    person = replace(published([BOUGHT, AGAIN, returned]), session=recent([returned]))
    assert told(whole_history(person).standing) == [("i8", (BOUGHT[1] - EPOCH) // SECOND)]


def without_types(person: Person) -> Person:
    """As a bundle of before told it."""
    history = person.history
    return replace(person, history=History.without_types(history.item_idx, history.event_ts, history.values))


def test_where_a_history_tells_no_types_counts_by_type_stay_as_they_were_published_and_others_do_not():
    bought = [("i8", AS_OF - 6 * DAY, EventType.PURCHASE)]
    person = with_recent(without_types(published(bought)), [("i8", AS_OF + HOUR, EventType.PURCHASE)])
    found = live(person, AS_OF + 2 * DAY)
    assert (found["user_purchase_count_7d"], found["user_event_count_7d"]) == (1, 1)
    assert found["user_purchase_recency_days_total"] == 6
    assert found["user_event_recency_days_total"] == np.float32(47 / 24)
    newcomer = with_recent(unknown_person(SCHEMAS.user), [("i8", AS_OF + HOUR, EventType.PURCHASE)])
    assert live(newcomer, AS_OF + 2 * DAY)["user_purchase_count_7d"] == 1


def test_an_event_without_a_type_that_the_history_has_is_there_once():
    """As evaluation has sessions: of whole seconds, and without types."""
    done = published(clicks(AS_OF - HOUR, AS_OF - SECOND))
    session = RecentEvents.of(without_types(done).history.where(slice(1, None)))
    assert len(whole_history(replace(done, session=session)).standing) == 2


def test_an_event_that_a_history_without_types_has_counts_once():
    as_of, at = AS_OF + 500_000 * TICK, AS_OF + 400_000 * TICK
    person = with_recent(without_types(published(clicks(at), as_of)), clicks(at))
    assert live(person, AS_OF + HOUR)["user_event_count_1d"] == 1
    assert len(whole_history(person).standing) == 1


def test_what_must_be_given_where_a_history_tells_no_types_is_what_is_given():
    done = {"u1": [("i8", AS_OF - 6 * DAY, EventType.PURCHASE)], "u2": []}
    bought = ("i8", AS_OF + HOUR, EventType.PURCHASE)
    now = AS_OF + 2 * DAY
    keys = [RowKey(user_id, AS_OF, now, logged([bought])) for user_id in done]
    right = expected_rows(tables(done), SCHEMAS.user, keys, 1000, ITEMS, has_event_types=False)
    for at, user_id in enumerate(done):
        person = without_types(reader_of(done).read_person(UserId(user_id), None, now))
        found = with_live_features(with_recent(person, [bought]), SCHEMAS.user, now).features
        np.testing.assert_array_equal(found.values[0], right.values[at])
        np.testing.assert_array_equal(found.missing[0], right.missing[at])


def test_an_event_stamped_later_than_now_happened_just_now():
    person = with_recent(published(clicks(AS_OF - HOUR)), clicks(AS_OF + 2 * HOUR))
    found = live(person, AS_OF + HOUR)
    assert found["user_event_count_1d"] == 1 + 1
    assert found["user_event_recency_days_total"] == np.float32(TICK / DAY)


def test_an_event_of_an_item_that_the_release_does_not_know_counts_too_and_is_in_no_history():
    person = with_recent(published([]), clicks(AS_OF + HOUR, item_id="new today"))
    assert live(person, AS_OF + 2 * HOUR)["user_event_count_1d"] == 1
    assert len(whole_history(person).standing) == 0


def test_features_that_are_not_live_stay_as_they_were_read():
    person = with_recent(published(clicks(AS_OF - HOUR)), clicks(AS_OF + HOUR))
    before, after = person.features, with_live_features(person, SCHEMAS.user, AS_OF + 2 * HOUR).features
    others = [at for at, name in enumerate(SCHEMAS.user.names) if name not in NAMES]
    np.testing.assert_array_equal(before.values[:, others], after.values[:, others])
    np.testing.assert_array_equal(before.missing[:, others], after.missing[:, others])
    assert before.values[0, SCHEMAS.user.names.index("user_event_count_total")] == 1  # the caller's row is left alone


def test_a_row_without_any_live_feature_is_left_alone():
    schema = FeatureSchema(Entity.USER, (FeatureSpec("user_age", 30.0, 9.0),))
    person = with_recent(unknown_person(schema), clicks(AS_OF))
    assert with_live_features(person, schema, AS_OF + HOUR) is person


def test_what_is_declared_by_aggregations_is_live_but_for_means():
    assert set(NAMES) == {
        *(f"user_event_count_{window}" for window in ("1h", "1d", "7d", "30d", "90d", "365d", "total")),
        *(
            f"user_{kind}_count_{window}"
            for kind in ("view", "click", "add_to_cart", "purchase")
            for window in ("7d", "30d", "365d")
        ),
        "user_add_to_cart_recency_days_total",
        "user_purchase_recency_days_total",
        "user_event_recency_days_total",
        "user_event_tenure_days_total",
    }


@pytest.mark.parametrize(("ttl", "is_live"), [(WITHOUT_END, True), (30 * DAY, False)])
def test_days_since_an_event_are_live_only_where_events_are_never_forgotten(ttl, is_live):
    [view] = [
        view for view in views_of(Entity.USER) if Aggregation(AggregateFunction.DAYS_SINCE_FIRST) in view.aggregations
    ]
    found = {feature.aggregation.function for feature in live_features([replace(view, ttl=ttl)])}
    assert (found & {AggregateFunction.DAYS_SINCE_FIRST, AggregateFunction.DAYS_SINCE_LAST} != set()) is is_live


def person_of(history: list[tuple[str, int]], session: list[tuple[str, int]], lately: list[Done]) -> Person:
    in_session = [(item_id, EPOCH + timedelta(seconds=second), EventType.CLICK) for item_id, second in session]
    return Person(unknown_person(SCHEMAS.user).features, seconds(history), recent(in_session), recent(lately))


def seconds(events: list[tuple[str, int]]) -> History:
    return History(
        ITEMS.indices(item_id for item_id, _ in events),
        np.array([second for _, second in events], np.int64),
        np.full(len(events), EVENT_CODES[EventType.CLICK], np.uint8),
        np.full(len(events), np.nan, np.float32),
    )


def told(history: History) -> list[tuple[Any, int]]:
    return list(zip(ITEMS.external(history.item_idx), history.event_ts.tolist(), strict=True))


def test_the_whole_history_has_every_event_once_in_the_order_of_time():
    at = [EPOCH + timedelta(seconds=second) for second in (100, 130)]
    person = person_of(
        history=[("i7", 50), ("i8", 100)],
        session=[("i8", 100), ("i9", 120), ("i7", 130), ("i9", 99)],
        lately=[*clicks(at[0], item_id="i8"), *clicks(at[1])],
    )
    assert told(whole_history(person).standing) == [("i7", 50), ("i8", 100), ("i9", 99), ("i9", 120), ("i7", 130)]


def test_codes_of_types_are_what_was_packed():
    assert recent(clicks(AS_OF)).event_types.tolist() == [EVENT_CODES[EventType.CLICK]]


def test_several_events_on_one_item_at_one_moment_are_all_in_the_history():
    at = EPOCH + timedelta(seconds=100)
    done = [("i7", at, EventType.VIEW), ("i7", at, EventType.ADD_TO_CART), ("i7", at, EventType.VIEW)]
    person = Person(unknown_person(SCHEMAS.user).features, History.empty(), recent(done), recent(done))
    assert told(whole_history(person).standing) == [("i7", 100), ("i7", 100)]
