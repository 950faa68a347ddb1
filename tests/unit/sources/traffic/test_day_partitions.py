"""Rows added in any order, any number at once, any number of times, lie in the files of their days once."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import SourceError
from contracts.tables import UTC_TIME
from sources.traffic import day_partitions
from sources.traffic.day_partitions import KEY, add_rows, day_files, n_rows, row_groups

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
# A microsecond before midnight, on it, and later: several of one moment, so that ids decide the order.
MOMENTS = st.sampled_from([-1, 0, 1, 1_000_000, 86_400_000_000 - 1, 86_400_000_000])
RECORDS = st.lists(st.tuples(MOMENTS, st.integers(0, 30)), max_size=40)


def rows(records: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_ts": [MIDNIGHT + timedelta(microseconds=us) for us, _ in records],
            "event_id": [f"e{number}" for _, number in records],
            "value": [float(us + number) for us, number in records],
            "degraded": [["features"] * (number % 3) for _, number in records],
        },
        schema={
            "event_ts": UTC_TIME,
            "event_id": pl.String,
            "value": pl.Float64,
            "degraded": pl.List(pl.String),
        },
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True, scope="module")
def small_groups() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_partitions, "ROWS_PER_GROUP", 4)
        yield


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, again=RECORDS, size=st.integers(1, 9), seed=st.randoms(use_true_random=False))
def test_the_bytes_depend_on_the_rows_alone(records, again, size, seed) -> None:
    with tempfile.TemporaryDirectory() as name:
        whole, parts = Path(name) / "whole", Path(name) / "parts"
        for folder in (whole, parts):
            folder.mkdir()
        add_rows(whole, rows(records))
        shuffled = seed.sample(records, len(records)) + [one for one in again if one in records]
        added = [add_rows(parts, rows(shuffled[at : at + size])) for at in range(0, len(shuffled), size)]
        assert files(parts) == files(whole)
        assert sum(sum(one.values()) for one in added) == len(set(records))
        held = [group for path in day_files(parts) for group in row_groups(path)]
        assert all(len(group) <= 4 for group in held)
        expected = rows(sorted(set(records))).sort(KEY)
        assert pl.concat([rows([]), *held]).equals(expected)


def test_a_day_begins_at_midnight_utc(tmp_path: Path) -> None:
    assert add_rows(tmp_path, rows([(-1, 1), (0, 2), (86_400_000_000 - 1, 3), (86_400_000_000, 4)])) == {
        "day=2026-11-23.parquet": 1,
        "day=2026-11-24.parquet": 2,
        "day=2026-11-25.parquet": 1,
    }
    assert [n_rows(path) for path in day_files(tmp_path)] == [1, 2, 1]


def test_a_day_that_was_begun_before_there_was_a_column_goes_on_with_it(tmp_path: Path) -> None:
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    before, after = rows([(number, 1) for number in range(0, 12, 2)]), rows([(number, 1) for number in range(1, 12, 2)])
    after = after.with_columns(filter=pl.lit("{}"))
    for folder in (begun, whole):
        folder.mkdir()
    add_rows(begun, before)
    assert add_rows(begun, after) == {"day=2026-11-24.parquet": 6}
    add_rows(whole, pl.concat([before.with_columns(filter=pl.lit(None, pl.String)), after]))
    assert files(begun) == files(whole)
    held = pl.concat(list(row_groups(begun / "day=2026-11-24.parquet")))
    assert held["filter"].to_list() == [None, "{}"] * 6


def test_a_late_row_rewrites_its_day_and_no_other(tmp_path: Path) -> None:
    add_rows(tmp_path, rows([(-1, 1), (0, 2)]))
    before = files(tmp_path)
    assert add_rows(tmp_path, rows([(-1, 0)])) == {"day=2026-11-23.parquet": 1}
    after = files(tmp_path)
    assert [name for name in after if after[name] != before[name]] == ["day=2026-11-23.parquet"]


def test_rows_that_are_there_leave_the_file_as_it_is(tmp_path: Path) -> None:
    add_rows(tmp_path, rows([(0, 1), (0, 2)]))
    (path,) = day_files(tmp_path)
    inode = path.stat().st_ino
    assert add_rows(tmp_path, rows([(0, 2), (0, 1), (0, 2)])) == {}
    assert path.stat().st_ino == inode


def test_a_damaged_file_is_named_with_what_brings_it_back(tmp_path: Path) -> None:
    add_rows(tmp_path, rows([(0, 1)]))
    (path,) = day_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"day=2026-11-24\.parquet is no readable Parquet file") as caught:
        add_rows(tmp_path, rows([(0, 2)]))
    assert "slate traffic collect --from-start" in caught.value.next_step
