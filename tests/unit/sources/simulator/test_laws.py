"""What must hold in every simulated world, checked against the truth it knows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from contracts.errors import DataTooSmall, ShapeMismatch, UnknownId
from sources.simulator.people import PeopleState
from sources.simulator.policies import EMPTY, LOGGING_POLICY, Requests, Slates, logging_policy
from sources.simulator.reactions import click_probabilities
from sources.simulator.world import SimulatedDay, World
from sources.simulator.world_spec import SLATE_LENGTH, START, WorldKind

# How far chance may lead: one check in ten thousand would fail by it, and these seeds do not.
SIGMAS = 4.0


def made(kind: WorldKind = WorldKind.SHOP, n_users: int = 6_000, n_days: int = 8, seed: int = 3) -> World:
    return World.create(kind, n_users=n_users, n_items=400, n_days=n_days, seed=seed)


@pytest.fixture(scope="module", params=list(WorldKind))
def lived(request: pytest.FixtureRequest) -> tuple[World, SimulatedDay]:
    """A world of each kind after its last day, and all that happened."""
    world = made(request.param)
    return world, SimulatedDay.concat(list(world.days()))


def ranked_by_taste(world: World, sign: int):
    """A policy that knows the truth: the items that people like best, or least."""

    def policy(requests: Requests) -> Slates:
        vectors = np.sqrt(world.items.vectors()[: len(requests.shelf)])
        taste = np.sqrt(world.tastes()[requests.person])  # these worlds are of one block
        numbers = np.argsort(-sign * taste @ vectors.T, axis=1, kind="stable")[:, :SLATE_LENGTH].astype(np.int32)
        return Slates(numbers, np.ones(numbers.shape), "by taste")

    return policy


def at_random(requests: Requests) -> Slates:
    numbers = np.argsort(requests.rng.random((len(requests), len(requests.shelf))), axis=1)[:, :SLATE_LENGTH]
    chance = np.full(numbers.shape, 1 / len(requests.shelf))
    return Slates(numbers.astype(np.int32), chance, "random")


def clicked(day: SimulatedDay) -> np.ndarray:
    """For each impression, whether it was clicked."""
    clicks = day.interactions.filter(event_type="click").select("request_id", "item_id", clicked=True)
    joined = day.impressions.join(clicks, on=["request_id", "item_id"], how="left", maintain_order="left")
    return joined["clicked"].fill_null(value=False).to_numpy()


def test_the_truth_predicts_the_clicks_in_every_band_of_probability(lived):
    _, day = lived
    happened, chance = clicked(day), day.click_probability
    edges = np.quantile(chance, np.linspace(0, 1, 11))
    band = np.clip(np.searchsorted(edges, chance, side="right") - 1, 0, 9)
    for number in range(10):
        expected = chance[band == number]
        sigma = np.sqrt((expected * (1 - expected)).sum())
        assert abs(happened[band == number].sum() - expected.sum()) < SIGMAS * sigma


def test_clicks_fall_with_the_position_as_the_stated_examination_does(lived):
    # The logging policy shows every item as likely at one position as at another: what is left is the position.
    world, day = lived
    clicks = np.bincount(day.impressions["position"].to_numpy()[clicked(day)], minlength=SLATE_LENGTH + 1)[1:]
    for ratio, first, here in zip(
        world.examination(10) / world.examination(1), clicks[:1].repeat(10), clicks, strict=True
    ):
        # The variance of a ratio of two counts, by the delta method.
        assert abs(np.log(here / first) - np.log(ratio)) <= SIGMAS * np.sqrt(1 / here + 1 / first)


def test_examination_is_what_the_documents_say():
    assert made(WorldKind.SHOP, n_users=1).examination(3) == pytest.approx([1, 2**-0.8, 3**-0.8])
    assert made(WorldKind.ARTICLES, n_users=1).examination(3) == pytest.approx([1, 2**-0.6, 3**-0.6])


def test_who_is_shown_what_they_like_clicks_more():
    n_clicks = {}
    for name, sign in (("liked", 1), ("disliked", -1)):
        world = made(n_days=4)
        days = list(world.days(ranked_by_taste(world, sign)))
        n_clicks[name] = sum(day.interactions.filter(event_type="click").height for day in days)
    assert n_clicks["liked"] > 5 * n_clicks["disliked"]


def test_tastes_narrow_under_a_policy_that_follows_them_more_than_under_chance():
    after = {}
    for name in ("followed", "random"):
        world = made(n_days=8, n_users=3_000)
        before = world.tastes().max(axis=1)
        list(world.days(ranked_by_taste(world, 1) if name == "followed" else at_random))
        after[name] = float((world.tastes().max(axis=1) - before).mean())
    assert after["followed"] > after["random"]
    assert world.tastes().sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_what_was_shown_too_often_and_what_was_opened_is_clicked_less():
    world = made(n_days=1)
    one = world._blocks[0]
    requests = one.requests(0)
    slates = logging_policy(requests)
    fresh = click_probabilities(requests, one.state, slates)
    tired = PeopleState.of(one.people)
    tired.shown += 50
    assert (click_probabilities(requests, tired, slates) < fresh).all()
    knowing = PeopleState.of(one.people)
    knowing.opened[requests.person, 0] = slates.item_numbers[:, 0]
    knowing.n_opened += 1
    again = click_probabilities(requests, knowing, slates)
    # The last request of a person says what they remember.
    last = np.unique(requests.person[::-1], return_index=True)[1]
    rows = len(requests) - 1 - last
    assert (again[rows, 0] < fresh[rows, 0]).all()


def test_nobody_does_anything_before_they_joined_or_with_what_is_not_there_yet(lived):
    world, day = lived
    for table in (day.interactions, day.impressions):
        joined = table.join(world.users(), on="user_id").join(world.items_table(), on="item_id")
        assert joined.height == table.height
        assert (joined["event_ts"] >= joined["signup_ts"]).all()
        assert (joined["event_ts"] > joined["created_ts"]).all()


def test_people_and_items_join_every_day_and_people_leave(lived):
    world, day = lived
    one = world._blocks[0].people
    for start, end in pairwise(range(world.spec.n_days + 1)):
        assert ((one.joined_day >= start) & (one.joined_day < end)).any()
        assert ((world.items.created_us >= start * 86_400e6) & (world.items.created_us < end * 86_400e6)).any()
        assert (one.left_day == end).any()
    seen = day.interactions.with_columns(day=(pl.col("event_ts") - START).dt.total_days())
    last_seen = dict(seen.group_by("user_id").agg(pl.col("day").max()).iter_rows())
    left = dict(zip(one.ids.to_list(), one.left_day.tolist(), strict=True))
    assert all(day < left[user_id] for user_id, day in last_seen.items())


def test_who_was_brought_by_somebody_came_after_a_share_of_theirs(lived):
    world, day = lived
    shares = day.interactions.filter((pl.col("event_type") == "share") & pl.col("session_id").is_null())
    brought = world.users().drop_nulls("referred_by")
    assert brought.height == shares.height > 0
    pairs = brought.join(shares, left_on="referred_by", right_on="user_id")
    came_after = pairs.filter(pl.col("event_ts") <= pl.col("signup_ts"))
    assert came_after["user_id"].n_unique() == brought.height


@pytest.mark.parametrize("n_users", [1, 2, 3])
def test_where_nobody_was_before_nobody_was_brought(n_users):
    for seed in range(40):
        people = World.create("shop", n_users, n_items=100, n_days=2, seed=seed)._blocks[0].people
        brought = people.referrer >= 0
        assert (people.joined_day[people.referrer[brought]] < people.joined_day[brought]).all()


def test_inverse_propensities_count_the_shelf():
    # Every item can stand at every position: the mean of 1 / propensity is the number of items.
    requests = made(n_days=1, n_users=20_000)._blocks[0].requests(0)
    slates = logging_policy(requests)
    for position in range(SLATE_LENGTH):
        weights = 1 / slates.propensities[:, position]
        sigma = weights.std() / np.sqrt(len(weights))
        assert abs(weights.mean() - len(requests.shelf)) < SIGMAS * sigma


def test_old_traffic_says_what_another_policy_is_worth():
    world = made(n_users=20_000, n_days=1)
    worth = world.expected_clicks(at_random)
    n_items = len(world._blocks[0].requests(0).shelf)
    day = world.day()
    # Position by position: the chance of random over that of the logging policy. The truth stands for the clicks.
    terms = day.click_probability / n_items / day.impressions["propensity"].to_numpy()
    per_request = terms.reshape(-1, SLATE_LENGTH).sum(axis=1)
    sigma = per_request.std() / np.sqrt(len(per_request))
    assert abs(per_request.mean() - worth) < SIGMAS * sigma


def test_asking_what_a_policy_is_worth_changes_nothing():
    asked, not_asked = made(n_days=2), made(n_days=2)
    asked.expected_clicks(ranked_by_taste(asked, 1))
    for _ in range(2):
        assert asked.day().interactions.equals(not_asked.day().interactions)


def test_people_come_the_same_whatever_they_are_shown():
    sessions = []
    for policy in (logging_policy, at_random):
        world = made(n_days=3, n_users=2_000)
        sessions.append(
            [
                day.impressions.select("session_id", "request_id").unique().sort("request_id")
                for day in world.days(policy)
            ]
        )
    assert all(one.equals(other) for one, other in zip(*sessions, strict=True))


def test_a_policy_may_answer_in_ids_with_slates_of_any_length():
    world = made(n_days=1, n_users=500)

    def two_or_none(requests: Requests) -> Slates:
        ids = requests.item_ids.to_list()
        return requests.slates([ids[:2] if row % 2 else [] for row in range(len(requests))], "two or none")

    day = world.day(two_or_none)
    assert day.impressions["position"].unique().sort().to_list() == [1, 2]
    assert day.impressions["item_id"].n_unique() == 2
    assert len(day.click_probability) == day.impressions.height
    assert set(day.impressions["policy_id"]) == {"two or none"}


def numbers_everywhere(requests: Requests, numbers: list[int]) -> Slates:
    """The same numbers for every request."""
    shown = np.tile(np.array(numbers, np.int32), (len(requests), 1))
    return Slates(shown, np.ones(shown.shape), "p")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda asked: asked.slates([], "p"), ShapeMismatch, "with 0 slates"),
        (lambda asked: asked.slates([["i123"]] * len(asked), "p"), UnknownId, "'i123', which is not on the shelf"),
        (
            lambda asked: asked.slates([[asked.shelf.items.ids[-1]]] * len(asked), "p"),
            UnknownId,
            "not on the shelf of day 0",
        ),
        (lambda asked: numbers_everywhere(asked, [0, 0]), ShapeMismatch, "twice on one page"),
        (lambda asked: numbers_everywhere(asked, [9_999]), ShapeMismatch, "not on the shelf"),
        (lambda asked: Slates(np.zeros((1, 1), np.int32), np.ones((1, 1)), "p"), ShapeMismatch, "shape"),
    ],
)
def test_an_answer_that_is_none_is_refused(answer, error, said):
    with pytest.raises(error, match=said):
        made(n_days=1, n_users=300).day(answer)


def test_a_world_has_an_end():
    world = made(n_days=1, n_users=100)
    world.day()
    with pytest.raises(DataTooSmall, match="ends after 1 days"):
        world.day()


def test_anybody_can_be_asked_about_any_slate():
    world = made(n_days=2, n_users=300)
    world.day()
    user_ids, item_ids = world.users()["user_id"][:3].to_list(), world.items.ids[:5].to_list()
    forwards = list(world.click_probabilities(user_ids, [item_ids] * 3))
    backwards = list(world.click_probabilities(user_ids, [item_ids[::-1]] * 3))
    looked_at = world.examination(5)
    for one, other in zip(forwards, backwards, strict=True):
        assert one / looked_at == pytest.approx(other[::-1] / looked_at[::-1])
    with pytest.raises(UnknownId, match="no person 'nobody'"):
        next(world.click_probabilities(["nobody"], [item_ids]))


def test_the_default_policy_says_who_it_is_and_fills_every_place():
    day = made(n_days=1, n_users=300).day()
    assert set(day.impressions["policy_id"]) == {LOGGING_POLICY}
    assert day.impressions.height == SLATE_LENGTH * day.impressions["request_id"].n_unique()
    assert EMPTY not in day.impressions["position"]
