"""A file with two columns in each other's place is found by what the other files hold, and no other file is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sources.canonical.origins import Origins, save_origins
from sources.validation.swapped_columns import swapped_files

N_ROWS, N_DAYS = 600, 8
Pair = tuple[str, str]
Day = Callable[[np.random.Generator, int], list[Pair]]


def zipf(rng: np.random.Generator, n_ids: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    weights = 1 / (1 + rng.permutation(n_ids))
    return rng.choice(n_ids, size=N_ROWS, p=weights / weights.sum()) + 1


def shop_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """People and articles whose ids look different."""
    items = rng.integers(90, size=N_ROWS)
    return [(f"K{user:05}", f"{item:04}") for user, item in zip(zipf(rng, 400), items, strict=True)]


def plain_numbers_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """People 1 to 300 and articles 1 to 200, each about as popular as yesterday."""
    users, items = np.random.default_rng(1).permutation(300) + 1, np.random.default_rng(2).permutation(200) + 1
    return [(str(users[int(300 * rng.random() ** 2)]), str(items[int(200 * rng.random() ** 3)])) for _ in range(N_ROWS)]


def new_people_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """People come once, ten a day, and their numbers are those of articles too: as in MovieLens 100K."""
    items = np.random.default_rng(2).permutation(1600) + 1
    return [(str(day * 10 + at % 10), str(items[int(1600 * rng.random() ** 4)])) for at in range(N_ROWS)]


def guests_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """Each person comes for two events; their numbers count on, within those of the articles."""
    return [(str(day * 300 + at // 2), str(int(5000 * rng.random() ** 2))) for at in range(N_ROWS)]


def unseen_ids_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """No id is ever seen on another day: only how they look tells them apart."""
    return [(f"C-{day}{at:03}", f"{day:02}{at % 50:06}") for at in range(N_ROWS)]


def crawled_day(rng: np.random.Generator, day: int) -> list[Pair]:
    """On the fifth day one visitor looks at everything: odd, and nothing is swapped."""
    pairs = plain_numbers_day(rng, day)
    return [("7", item) for _, item in pairs] if day == 5 else pairs


DAYS = [shop_day, plain_numbers_day, new_people_day, guests_day, unseen_ids_day]


def found(folder: Path, day: Day, swapped: set[int], n_days: int = N_DAYS, seed: int = 0) -> list[str]:
    """The files that look swapped, where those of these days are."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"d{number}.csv", *(pair[::-1] if number in swapped else pair))
        for number in range(n_days)
        for pair in day(rng, number)
    ]
    table = pl.DataFrame(rows, schema=["file", "user_id", "item_id"], orient="row").with_row_index("row")
    save_origins(table.select("file", pl.col("row").cast(pl.Int64)), folder, "interactions")
    events = table.with_columns(session_id=pl.lit(None, pl.String)).select("user_id", "item_id", "session_id")
    return [swap.file for swap in swapped_files(events.lazy(), Origins(folder))]


@pytest.mark.parametrize("day", DAYS)
def test_the_swapped_day_is_found_and_no_other(tmp_path: Path, day: Day) -> None:
    for seed, odd in ((0, 3), (2, 7), (3, 4)):
        assert found(tmp_path / str(seed), day, {odd}, seed=seed) == [f"d{odd}.csv"]


@pytest.mark.parametrize("day", [*DAYS, crawled_day])
def test_where_nothing_is_swapped_nothing_is_found(tmp_path: Path, day: Day) -> None:
    for seed in range(4):
        assert found(tmp_path / str(seed), day, set(), seed=seed) == []


def test_two_swapped_days_of_many_are_both_found(tmp_path: Path) -> None:
    assert found(tmp_path, plain_numbers_day, {2, 5}) == ["d2.csv", "d5.csv"]


def test_of_two_files_each_may_be_the_swapped_one(tmp_path: Path) -> None:
    assert found(tmp_path, shop_day, {1}, n_days=2) == ["d0.csv", "d1.csv"]


def test_a_single_file_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    assert found(tmp_path, shop_day, {0}, n_days=1) == []
