"""Interactions set down in any order and any batches come out as one sorted table, each with where it came from."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.tables import INTERACTIONS_SCHEMA
from sources.canonical.canonical import conform
from sources.canonical.event_sorter import EventSorter
from sources.canonical.origins import ORIGIN, Origins

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = st.one_of(st.none(), st.integers(-3, 30))
ROWS = st.lists(
    st.tuples(HOURS, st.sampled_from(["u1", "u2", None]), st.sampled_from(["a", "b"])), min_size=1, max_size=40
)


def batch(rows: list[tuple[int | None, str | None, str]], first_row: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_ts": [None if hours is None else START + timedelta(hours=hours) for hours, *_ in rows],
            "user_id": [user for _, user, _ in rows],
            "item_id": [item for *_, item in rows],
            "event_type": ["view"] * len(rows),
            "row": range(first_row, first_row + len(rows)),
        },
        schema={
            **{name: INTERACTIONS_SCHEMA[name] for name in ("event_ts", "user_id", "item_id", "event_type")},
            "row": pl.Int64,
        },
    )


@example(rows=[(hour, "u1", "a") for hour in (4, 1, 3, None, 1, 0)], batch_size=2, span_rows=1)
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, batch_size=st.integers(1, 7), span_rows=st.integers(1, 50))
def test_spans_sorted_one_after_another_are_the_whole_table_sorted(
    rows: list[tuple[int | None, str | None, str]], batch_size: int, span_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sorter = EventSorter(folder / "unsorted.part", span_rows)
        for start in range(0, len(rows), batch_size):
            sorter.add(batch(rows[start : start + batch_size], start), "a.csv" if start < 20 else "b.csv")
        sorter.write(folder)
        sorter.close()
        table = pl.read_parquet(folder / "interactions.parquet")
        origins = Origins(folder).of("interactions", pl.Series(range(len(rows)), dtype=pl.Int64))
        files = ["a.csv" if row - row % batch_size < 20 else "b.csv" for row in range(len(rows))]
        expected = conform(batch(rows, 0).with_columns(file=pl.Series(files)), "interactions")
        assert table.hstack(origins).equals(expected)
        assert table.equals(expected.drop(ORIGIN))
        assert not (folder / "unsorted.part").exists()
