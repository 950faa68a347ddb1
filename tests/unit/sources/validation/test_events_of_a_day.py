"""Where times are whole days, two events of a day are two; only a row that is equal in every cell repeats another."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.settings.files import Files, TableFiles
from contracts.settings.settings import load_settings
from sources.canonical.origins import Origins
from sources.files.export_reader import write_tables
from sources.files.whole_days import are_whole_days
from sources.validation.baseline import Baseline
from sources.validation.table_check import RowFolders
from sources.validation.validation import check_tables, scan_tables
from tests.unit.sources.exports import write

RULES = load_settings(Path(__file__).resolve().parents[4] / "params.yaml").validate_.model_copy(
    update={"max_quarantine_share": 1.0, "max_duplicate_share": 1.0, "max_user_share": 1.0, "min_interactions": 1}
)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
COLUMNS = ("who", "what", "day", "order")
# One order holds the third row twice: nothing says that these are two.
ROWS = (
    ("u1", "A", "2024-03-30", "1001"),
    ("u1", "A", "2024-03-30", "1002"),
    ("u1", "A", "2024-03-30", "1003"),
    ("u1", "A", "2024-03-30", "1003"),
    ("u1", "A", "2024-04-02", "1001"),
    ("u2", "B", "2024-04-02", "1004"),
)


def as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    return "\n".join(",".join(row) for row in [COLUMNS, *rows, ()]).encode()


def as_jsonl(rows: Sequence[Sequence[str]]) -> bytes:
    return pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row").write_ndjson().encode()


def as_parquet(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.BytesIO()
    table = pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row")
    table.with_columns(day=pl.col("day").str.to_date()).write_parquet(buffer)
    return buffer.getvalue()


def in_quarantine(folder: Path, contents: dict[str, bytes], **said: Any) -> list[tuple[str, int]]:
    """file and row of the rows that repeat others; every other row is valid."""
    columns = {"user_id": "who", "item_id": "what", "event_ts": "day"}
    mapping = {"columns": columns, "event_type": "purchase", "time_zone": "Europe/Berlin", **said}
    raw = folder / "raw"
    raw.mkdir()
    n_rows = write_tables(
        Files.model_validate({"interactions": mapping}), str(write(folder / "in", contents)), raw
    ).rows
    folders = RowFolders(folder / "valid", folder / "quarantine")
    for empty in (folders.valid, folders.quarantine):
        empty.mkdir()
    validation = check_tables(
        scan_tables(raw),
        RULES,
        folders,
        baseline=Baseline(),
        now=datetime(2025, 1, 1, tzinfo=UTC),
        origins=Origins(raw),
    )
    aside = validation.quarantine["interactions"]
    assert set(aside["reason"]) <= {"not_repeated"}
    assert len(validation.valid.interactions) == n_rows["interactions"] - len(aside)
    return sorted(aside.select("file", "row").rows())


@pytest.mark.parametrize(
    ("name", "write_rows", "row"), [("e.csv", as_csv, 5), ("e.jsonl", as_jsonl, 4), ("e.parquet", as_parquet, 4)]
)
def test_orders_of_one_day_are_events_of_their_own(
    tmp_path: Path, name: str, write_rows: Callable[[Sequence[Sequence[str]]], bytes], row: int
) -> None:
    assert in_quarantine(tmp_path, {name: write_rows(ROWS)}) == [(name, row)]


def test_a_day_that_came_twice_is_still_a_repeat_in_every_row(tmp_path: Path) -> None:
    rows = ROWS[:3]
    copied = {"d1.csv": as_csv(rows), "d1-again.csv": as_csv(rows)}
    assert len(in_quarantine(tmp_path, copied)) == 3


def test_with_a_time_of_day_a_row_repeats_another_whatever_its_other_cells_say(tmp_path: Path) -> None:
    timed = [(user, item, f"{day} 10:05:00", order) for user, item, day, order in ROWS]
    assert [row for _, row in in_quarantine(tmp_path, {"e.csv": as_csv(timed)})] == [3, 4, 5]


@pytest.mark.parametrize(
    ("cells", "said", "are"),
    [
        (["2024-01-31", "2024-07-31"], {"time_zone": "Europe/Berlin"}, True),
        (["31/01/2024", "01/02/2024"], {"time_format": "%d/%m/%Y", "time_zone": "UTC"}, True),
        (["2024-01-31 00:00:00", "2024-07-31 00:00:00"], {"time_zone": "America/New_York"}, True),
        (["2024-01-31T00:00:00+05:30", "2024-02-01T00:00:00+05:30"], {}, True),
        (["1706659200", "1706745600"], {"time_unit": "s"}, True),
        ([date(2024, 1, 31)], {"time_zone": "UTC"}, True),
        (["2024-01-31 00:00:00", "2024-02-01 00:00:01"], {"time_zone": "UTC"}, False),
        (["2024-01-31 00:00:00", "2024-02-01 12:00:00"], {"time_zone": "UTC"}, False),
        (["2024-01-31 10:05:00"], {"time_zone": "UTC"}, False),
        (["soon"], {"time_zone": "UTC"}, False),
        ([], {"time_zone": "UTC"}, False),
    ],
)
def test_whole_days_are_midnights_of_any_clock(cells: list[Any], said: dict[str, Any], are: bool) -> None:
    assert are_whole_days(pl.Series(cells, dtype=None if cells else pl.String), TableFiles(**said)) is are
