"""The protocols of published tables on made-up files, by hand arithmetic with what is popular."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log2

import pytest

from bench.quality.literature.people import People
from bench.quality.literature.protocols import (
    LEARNT,
    asked_sequences,
    basket_figures,
    left_out_figures,
    sequence_figures,
    sequence_figures_of,
    tables_of_sequences,
)
from bench.quality.literature.reading import Baskets, LeftOut, Sequences
from bench.quality.literature.report import mean_over_seeds
from bench.quality.literature.tables import A_DAY, LAST_DAY, a_day_apart
from contracts.settings.settings import Settings
from tests.release_worlds import small_settings

SEED = 7


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small_settings(ranking={"min_rows_per_leaf": 2})


def test_the_item_left_out_has_the_place_that_its_score_gives_it_among_the_negatives(settings: Settings) -> None:
    # Item a is known to three people, b to two, c to one, and nobody knows d and e.
    known = {"a": "uvw", "b": "uv", "c": "x"}
    train = tuple((user, item, 100 + n) for n, (item, users) in enumerate(known.items()) for user in users)
    test, negatives = {"w": "b", "x": "d"}, {"w": ("a", "c", "d"), "x": ("a", "b", "e")}
    popular = left_out_figures(LeftOut(train, test, negatives), settings, SEED)["popular"]
    # w's b stands after a. x's d stands after a and b, and after e, which has the same score.
    assert popular["HR@10"] == 1
    assert popular["NDCG@10"] == pytest.approx((1 / log2(2 + 1) + 1 / log2(4 + 1)) / 2)


def test_an_item_below_the_tenth_place_is_no_hit(settings: Settings) -> None:
    liked = [f"n{number}" for number in range(10)]
    train = (*((user, item, 100) for user in "uv" for item in liked), ("u", "b", 100))
    task = LeftOut(train, {"v": "b"}, {"v": tuple(liked)})
    assert left_out_figures(task, settings, SEED)["popular"] == {"HR@10": 0, "NDCG@10": 0}
    task = LeftOut(train, {"v": "b"}, {"v": tuple(liked[:9])})
    assert left_out_figures(task, settings, SEED)["popular"]["NDCG@10"] == pytest.approx(1 / log2(10 + 1))


def test_baskets_are_ranked_over_all_items_that_are_not_in_the_training_line(settings: Settings) -> None:
    train = {"u": ("a", "b", "c"), "v": ("a", "b"), "w": ("a", "d"), "x": ("d",)}
    task = Baskets(train, {"w": ("b", "e"), "x": ("b",)})
    popular = basket_figures(task, settings, SEED)["popular"]
    # By popularity: a, b and d, c; e is known to nobody. Without their own, w is shown b, c and x is shown a, b, c.
    assert popular["recall@20"] == pytest.approx((1 / 2 + 1) / 2)
    ideal = 1 / log2(1 + 1) + 1 / log2(2 + 1)
    assert popular["NDCG@20"] == pytest.approx((1 / log2(1 + 1) / ideal + 1 / log2(2 + 1)) / 2)


def test_a_basket_of_more_than_twenty_better_items_is_missed(settings: Settings) -> None:
    liked = tuple(f"n{number:02}" for number in range(20))
    task = Baskets({"u": (*liked, "z"), "v": liked, "w": ("y",)}, {"w": ("z",), "v": ("z",)})
    popular = basket_figures(task, settings, SEED)["popular"]
    # w is shown the twenty. v has them already, and is shown y and z, which one person each knows.
    assert popular == {"recall@20": 0.5, "NDCG@20": pytest.approx(1 / log2(2 + 1) / 2)}


def circles(n_people: int) -> dict[str, tuple[str, ...]]:
    """Everybody goes round a circle of twelve items, from where they like; `late` is the one before the last."""
    circle = [f"i{number:02}" for number in range(12)]
    rounds = {f"u{person}": tuple(circle[(person + step) % 12] for step in range(8)) for person in range(n_people)}
    return {user: (*own[:-2], "late", own[-1]) for user, own in rounds.items()}


def test_last_items_are_asked_of_the_request_path_fitted_on_what_comes_before_the_last_two(settings: Settings) -> None:
    asked = circles(24)
    again = (*asked["u0"][:-1], asked["u0"][0])  # an item is not shown a second time: a miss
    short = ("i00", "i05")  # learnt from, and not asked
    task = Sequences({**asked, "again": again, "short": short})
    figures = sequence_figures(task, settings, SEED)
    # Of twelve items six were seen, and `late` was known to nobody when the fit ended: six are left.
    assert figures["popular"]["HR@10"] == figures["the slates"]["HR@10"] == pytest.approx(24 / 25)
    assert 0 < figures["the slates"]["NDCG@10"] < 24 / 25
    assert set(figures) >= {"the slates", "popular", "als", "covisitation", "next_visit"}
    # Asked without the request path, a generator has the same figures.
    people = People(tables_of_sequences(task), LEARNT, LEARNT + A_DAY)
    wanted = {user: own[-1] for user, own in asked_sequences(task).items()}
    for name in ("als", "covisitation", "next_visit", "popular"):
        alone = people.generator(name, settings.candidates, SEED)
        assert sequence_figures_of(people, alone, wanted) == pytest.approx(figures[name]), name


def test_sequences_lie_a_day_apart_and_end_together() -> None:
    long, short = "abcd", "xy"
    events = [*a_day_apart({"u": tuple(long)}, n_after=2), *a_day_apart({"v": tuple(short)}, n_after=0)]
    days = {item: (datetime.fromtimestamp(second, UTC) - LAST_DAY).days for _, item, second in events}
    assert days == {"a": -1, "b": 0, "c": 1, "d": 2, "x": -1, "y": 0}


def test_seeds_are_averaged() -> None:
    runs = [{"als": {"HR@10": 0.25}}, {"als": {"HR@10": 0.75}}]
    assert mean_over_seeds(runs) == {"als": {"HR@10": 0.5}}
