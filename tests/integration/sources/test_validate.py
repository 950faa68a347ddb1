"""Validation with the real Great Expectations: each rule broken once, boundaries kept, nothing lost."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import command_line
from contracts.clock import FixedClock
from contracts.errors import ArtefactError, SettingsError, ValidationFailed
from contracts.home import Home
from contracts.settings.drift import DriftSettings
from contracts.settings.settings import Settings, load_settings
from contracts.settings.validate import ValidateSettings
from contracts.tables import SCHEMAS, SORT_KEYS, CanonicalTables
from pipelines import validate as stage
from pipelines.paths import QUARANTINE, RAW, VALID, VALIDATION_RESULT
from sources.validation.baseline import Baseline, read_baseline
from sources.validation.data_docs import write_docs
from sources.validation.row_batches import BATCH_ROWS
from sources.validation.suite_engine import IN_PROCESS, SuiteEngine, suite_engine
from sources.validation.suite_run import RuleResult
from sources.validation.suites import EARLIEST, file_rules
from sources.validation.table_check import QUARANTINE_COLUMNS, RowFolders
from sources.validation.validation import Validation, check_tables
from tests.spark import needs_spark
from tests.worlds import small_world

PARAMS = Path(__file__).parents[3] / "params.yaml"
NOW = datetime(2021, 1, 1, tzinfo=UTC)
LENIENT = ValidateSettings(
    max_quarantine_share=1.0,
    max_duplicate_share=1.0,
    max_user_share=1.0,
    max_swapped_files=0,
    min_interactions=1,
    min_volume_ratio=0.5,
    max_volume_ratio=2.0,
    min_value=0.5,
    max_value=5.0,
    baseline="baseline.json",
    drift=DriftSettings(warn_psi=0.1, max_psi=0.25, warn_category_share=0.01, max_category_share=0.2, min_rows=50),
)
NOTHING = Baseline()
SCRATCH = tempfile.TemporaryDirectory(prefix="slatework-tests-")


@pytest.fixture
def tables() -> CanonicalTables:
    return small_world(n_events=200)


def with_change(tables: CanonicalTables, name: str, row: int, **cells: Any) -> CanonicalTables:
    """The tables with the cells of one row replaced."""
    table = getattr(tables, name)
    here = pl.int_range(pl.len()) == row
    changed = table.with_columns(
        pl.when(here).then(pl.lit(value, table.schema[column])).otherwise(pl.col(column)).alias(column)
        for column, value in cells.items()
    )
    return with_table(tables, name, changed)


def with_table(tables: CanonicalTables, name: str, table: pl.DataFrame) -> CanonicalTables:
    return CanonicalTables(**{**{one: getattr(tables, one) for one in SCHEMAS}, name: table})


def look(
    tables: CanonicalTables,
    settings: ValidateSettings = LENIENT,
    *,
    baseline: Baseline | None = None,
    now: datetime = NOW,
    engine: SuiteEngine = IN_PROCESS,
    batch_rows: int = BATCH_ROWS,
    **rows: int,
) -> Validation:
    """Check tables whose rows come in the order of their keys, as they do from `ingest`."""
    sources = {name: in_order(getattr(tables, name), keys).lazy() for name, keys in SORT_KEYS.items()}
    return check_into(sources, settings, baseline or Baseline(rows), now, engine, batch_rows)


def check_into(
    sources: Mapping[str, pl.LazyFrame],
    settings: ValidateSettings = LENIENT,
    baseline: Baseline = NOTHING,
    now: datetime = NOW,
    engine: SuiteEngine = IN_PROCESS,
    batch_rows: int = BATCH_ROWS,
) -> Validation:
    folder = Path(tempfile.mkdtemp(dir=SCRATCH.name))
    folders = RowFolders(folder / "valid", folder / "quarantine")
    folders.valid.mkdir()
    folders.quarantine.mkdir()
    return check_tables(sources, settings, folders, baseline=baseline, now=now, engine=engine, batch_rows=batch_rows)


def in_order(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return table.sort(keys, maintain_order=True) if set(keys) <= set(table.columns) else table


def reasons(validation: Validation, name: str = "interactions") -> list[str]:
    return validation.quarantine[name]["reason"].to_list()


def assert_nothing_is_lost(validation: Validation, tables: CanonicalTables) -> None:
    for name, keys in SORT_KEYS.items():
        parts = [getattr(validation.valid, name), validation.quarantine[name].select(list(SCHEMAS[name]))]
        order = [*keys, *(column for column in ("value", "title") if column in SCHEMAS[name])]
        assert pl.concat(parts).sort(order).equals(getattr(tables, name).sort(order))


def test_a_valid_world_passes_whole_and_the_quarantine_is_empty(tables: CanonicalTables) -> None:
    validation = look(tables)
    validation.raise_failures()
    for name, schema in SCHEMAS.items():
        assert getattr(validation.valid, name).equals(getattr(tables, name))
        assert validation.quarantine[name].is_empty()
        assert validation.quarantine[name].schema == {**schema, **QUARANTINE_COLUMNS}
    assert validation.result["success"]


# Each case has a row of its own in one world: Great Expectations looks at it once.
FIRST_CASE = 3
BROKEN_ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("interactions", {"user_id": None}, "user_id_present"),
    ("interactions", {"item_id": None}, "item_id_present"),
    ("interactions", {"event_type": None}, "event_type_present"),
    ("interactions", {"event_ts": None}, "event_ts_present"),
    ("interactions", {"user_id": "nobody"}, "user_is_known"),
    ("interactions", {"user_id": " "}, "user_id_sound, user_is_known"),
    ("interactions", {"item_id": "x" * 257}, "item_id_sound, item_is_known"),
    ("interactions", {"item_id": "nothing"}, "item_is_known"),
    ("interactions", {"event_type": "teleport"}, "event_type_is_known"),
    ("interactions", {"event_ts": NOW + timedelta(microseconds=1)}, "event_ts_in_range"),
    ("interactions", {"event_ts": EARLIEST - timedelta(microseconds=1)}, "event_ts_in_range"),
    ("interactions", {"value": 0.49}, "value_in_range"),
    ("interactions", {"value": 5.01}, "value_in_range"),
    ("interactions", {"value": float("inf")}, "value_in_range"),
    ("interactions", {"value": None}, "rating_has_value"),
    ("interactions", {"value": float("nan")}, "rating_has_value"),
    ("items", {"title": None}, "title_present"),
    ("items", {"price": -0.01}, "price_in_range"),
    ("items", {"release_year": 999}, "release_year_in_range"),
    ("items", {"release_year": 2032}, "release_year_in_range"),
    ("items", {"created_ts": NOW + timedelta(seconds=1)}, "created_ts_in_range"),
    ("items", {"attributes": '["red"]'}, "attributes_sound"),
    ("users", {"age": -1}, "age_in_range"),
    ("users", {"age": 121}, "age_in_range"),
    ("users", {"signup_ts": NOW + timedelta(seconds=1)}, "signup_ts_in_range"),
]


def with_cases(tables: CanonicalTables, cases: Sequence[tuple[str, dict[str, Any], str]]) -> CanonicalTables:
    """The tables with the cells of each case in the row FIRST_CASE + the position of the case."""
    for row, (name, cells, _) in enumerate(cases, start=FIRST_CASE):
        tables = with_change(tables, name, row, **cells)
    return tables


def reasons_of(row: pl.DataFrame, quarantine: pl.DataFrame) -> list[str]:
    """Why rows like this one are in quarantine; empty where none is."""
    return quarantine.join(row, on=row.columns, how="semi", nulls_equal=True)["reason"].to_list()


@cache
def broken_world(name: str) -> tuple[CanonicalTables, Validation]:
    """A world with all broken rows of one table, and what validation made of it."""
    broken = with_cases(
        small_world(n_events=200), [case if case[0] == name else (name, {}, "") for case in BROKEN_ROWS]
    )
    return broken, look(broken)


@pytest.mark.parametrize(("name", "cells", "reason"), BROKEN_ROWS)
def test_a_row_that_breaks_a_rule_goes_to_quarantine_for_that_reason(
    name: str, cells: dict[str, Any], reason: str
) -> None:
    broken, validation = broken_world(name)
    row = getattr(broken, name)[FIRST_CASE + BROKEN_ROWS.index((name, cells, reason))]
    assert reasons_of(row, validation.quarantine[name]) == [reason]


@pytest.mark.parametrize("name", ["interactions", "items", "users"])
def test_each_rule_counts_the_rows_that_break_it_and_nothing_is_lost(name: str) -> None:
    broken, validation = broken_world(name)
    expected = Counter(rule for table, _, reason in BROKEN_ROWS if table == name for rule in reason.split(", "))
    rules = validation.result["tables"][name]["rules"]
    assert {rule: counts["rows_broken"] for rule, counts in rules.items() if counts["rows_broken"]} == expected
    assert_nothing_is_lost(validation, broken)


BOUNDARY_ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("interactions", {"event_ts": NOW}, ""),
    ("interactions", {"event_ts": EARLIEST}, ""),
    ("interactions", {"value": 0.5}, ""),
    ("interactions", {"value": 5.0}, ""),
    ("interactions", {"event_type": "view", "value": None}, ""),
    ("items", {"price": 0.0}, ""),
    ("items", {"release_year": 1000}, ""),
    ("items", {"release_year": 2031}, ""),
    ("items", {"categories": []}, ""),
    ("items", {"in_stock": False, "attributes": '{"colour":"red","weight":1.5,"vegan":true}'}, ""),
    ("users", {"age": 0}, ""),
    ("users", {"age": 120}, ""),
    ("users", {"gender": None}, ""),
    ("users", {"occupation": "x" * 21}, ""),
]


@cache
def boundary_world() -> tuple[CanonicalTables, Validation]:
    """A world with all rows that stand on a boundary, and what validation made of it."""
    world = with_cases(small_world(n_events=200), BOUNDARY_ROWS)
    return world, look(world)


@pytest.mark.parametrize(("name", "cells", "_"), BOUNDARY_ROWS)
def test_a_row_on_the_boundary_is_valid(name: str, cells: dict[str, Any], _: str) -> None:
    world, validation = boundary_world()
    row = getattr(world, name)[FIRST_CASE + BOUNDARY_ROWS.index((name, cells, ""))]
    assert len(getattr(validation.valid, name).join(row, on=row.columns, how="semi", nulls_equal=True)) == 1
    assert reasons_of(row, validation.quarantine[name]) == []
    assert validation.result["success"]


KEYS = {"items": "item_id", "users": "user_id"}
WITHOUT_KEY: list[tuple[str | None, str]] = [(None, "_present"), ("  ", "_sound"), ("x" * 257, "_sound")]


@cache
def world_without_keys() -> Validation:
    """What validation made of a world in which three items and three people have no key that says something."""
    cases = [(name, {key: blank}, "") for name, key in KEYS.items() for blank, _ in WITHOUT_KEY]
    return look(with_cases(small_world(n_events=200), cases))


@pytest.mark.parametrize(("name", "key"), KEYS.items())
@pytest.mark.parametrize(("blank", "reason"), WITHOUT_KEY)
def test_a_key_must_say_something(name: str, key: str, blank: str | None, reason: str) -> None:
    quarantined = world_without_keys().quarantine[name]
    assert len(quarantined) == len(WITHOUT_KEY)
    assert quarantined.filter(pl.col(key).eq_missing(pl.lit(blank)))["reason"].to_list() == [key + reason]


@pytest.mark.parametrize("name", ["items", "users"])
def test_of_two_rows_with_one_key_the_first_is_kept(tables: CanonicalTables, name: str) -> None:
    table = getattr(tables, name)
    twice = with_table(tables, name, pl.concat([table, table.head(1)]))
    validation = look(twice)
    assert reasons(validation, name) == ["not_repeated"]
    assert getattr(validation.valid, name).equals(table)
    assert_nothing_is_lost(validation, twice)


def test_of_repeated_interactions_one_is_kept_whatever_their_order(tables: CanonicalTables) -> None:
    again = tables.interactions.head(3).with_columns(value=pl.lit(1.0))
    one = with_table(tables, "interactions", pl.concat([tables.interactions, again]))
    other = with_table(tables, "interactions", pl.concat([again, tables.interactions]))
    validation = look(one)
    assert reasons(validation) == ["not_repeated"] * 3
    assert validation.valid.interactions.equals(look(other).valid.interactions)
    assert_nothing_is_lost(validation, one)


def test_a_row_carries_all_its_reasons(tables: CanonicalTables) -> None:
    broken = with_change(tables, "interactions", 5, user_id="nobody", value=9.0, event_type="teleport")
    assert reasons(look(broken)) == ["user_is_known, event_type_is_known, value_in_range"]


def test_an_item_in_quarantine_is_unknown_to_its_interactions(tables: CanonicalTables) -> None:
    broken = with_change(tables, "items", 0, title=None)
    gone = tables.items["item_id"][0]
    validation = look(broken)
    n_events = tables.interactions.filter(pl.col("item_id") == gone).height
    assert n_events > 0
    assert reasons(validation) == ["item_is_known"] * n_events
    assert_nothing_is_lost(validation, broken)


def test_a_source_that_knows_nobody_has_no_unknown_people(tables: CanonicalTables) -> None:
    validation = look(with_table(tables, "users", tables.users.clear()))
    assert validation.result["success"]
    assert "user_is_known" not in validation.result["tables"]["interactions"]["rules"]


SHOWN: list[tuple[dict[str, Any], str | None]] = [
    ({"position": 1}, "place_is_free"),
    ({"position": 3, "event_ts": NOW - timedelta(days=1)}, "place_is_free"),
    ({"position": 0}, "position_in_range"),
    ({"position": None}, "position_present"),
    ({"propensity": 0.0}, "propensity_in_range"),
    ({"propensity": 1.01}, "propensity_in_range"),
    ({"request_id": None}, "request_id_present"),
    ({"request_id": " "}, "request_id_sound"),
    ({"item_id": "nothing"}, "item_is_known"),
    ({"event_ts": NOW + timedelta(seconds=1)}, "event_ts_in_range"),
    ({"propensity": 1.0}, None),
    ({"propensity": None, "user_id": "nobody"}, None),
]


def shown(case: int) -> pl.DataFrame:
    """Three impressions of the request of a case, the second with the cells of the case."""
    request = f"q{case}"
    rows = [
        {"request_id": request, "position": at, "item_id": "i1000", "event_ts": NOW, "propensity": 0.5}
        for at in (1, 2, 3)
    ]
    return pl.DataFrame([rows[0], rows[1] | SHOWN[case][0], rows[2]], schema=SCHEMAS["impressions"])


@cache
def shown_world() -> Validation:
    """What validation made of the impressions of all cases."""
    return look(
        with_table(small_world(n_events=200), "impressions", pl.concat([shown(case) for case in range(len(SHOWN))]))
    )


@pytest.mark.parametrize(("cells", "reason"), SHOWN)
def test_an_impression_that_breaks_a_rule_goes_to_quarantine(cells: dict[str, Any], reason: str | None) -> None:
    rows = shown(SHOWN.index((cells, reason)))
    valid = shown_world().valid.impressions
    assert reasons_of(rows, shown_world().quarantine["impressions"]) == ([] if reason is None else [reason])
    n_kept = len(valid.join(rows, on=rows.columns, how="semi", nulls_equal=True))
    assert n_kept == (3 if reason is None else 2)


def test_every_impression_is_valid_or_in_quarantine() -> None:
    n_broken = sum(reason is not None for _, reason in SHOWN)
    assert len(shown_world().valid.impressions) == 3 * len(SHOWN) - n_broken
    assert len(shown_world().quarantine["impressions"]) == n_broken


def expect_failure(tables: CanonicalTables, rule: str, settings: ValidateSettings = LENIENT, **rows: int) -> str:
    with pytest.raises(ValidationFailed, match=f"break rule `{rule}`") as caught:
        look(tables, settings, **rows).raise_failures()
    return str(caught.value)


def test_too_much_in_quarantine_stops_the_run_naming_count_and_three_rows(tables: CanonicalTables) -> None:
    broken = with_table(
        tables,
        "interactions",
        tables.interactions.with_columns(value=pl.when(pl.int_range(pl.len()) < 4).then(9.0).otherwise("value")),
    )
    n_rows = len(tables.interactions)
    message = expect_failure(
        broken, "quarantine_share", LENIENT.model_copy(update={"max_quarantine_share": 3 / n_rows})
    )
    assert f"4 of {n_rows} rows" in message
    assert message.count('"reason": "value_in_range"') == 3
    assert "value_in_range 4" in message
    on_the_bound = LENIENT.model_copy(update={"max_quarantine_share": 4 / n_rows})
    assert look(broken, on_the_bound).result["success"]


def test_too_many_duplicates_stop_the_run(tables: CanonicalTables) -> None:
    twice = with_table(tables, "interactions", pl.concat([tables.interactions, tables.interactions.head(5)]))
    n_rows = len(twice.interactions)
    message = expect_failure(twice, "duplicate_share", LENIENT.model_copy(update={"max_duplicate_share": 4 / n_rows}))
    assert f"5 of {n_rows} rows" in message
    assert look(twice, LENIENT.model_copy(update={"max_duplicate_share": 5 / n_rows})).result["success"]


def test_one_person_with_half_of_all_events_stops_the_run_and_is_named(tables: CanonicalTables) -> None:
    n_rows = len(tables.interactions)
    is_busy = pl.int_range(pl.len()) < n_rows // 2
    busy = tables.interactions.with_columns(user_id=pl.when(is_busy).then(pl.lit("u500")).otherwise("user_id"))
    message = expect_failure(
        with_table(tables, "interactions", busy), "user_share", LENIENT.model_copy(update={"max_user_share": 0.25})
    )
    assert message.count('"user_id": "u500"') == 3
    share = busy.filter(user_id="u500").height / n_rows
    on_the_bound = LENIENT.model_copy(update={"max_user_share": share})
    assert look(with_table(tables, "interactions", busy), on_the_bound).result["success"]


def test_the_same_event_a_thousand_times_stops_the_run(tables: CanonicalTables) -> None:
    again = pl.concat([tables.interactions, *[tables.interactions.head(1)] * 1000])
    message = expect_failure(
        with_table(tables, "interactions", again),
        "duplicate_share",
        LENIENT.model_copy(update={"max_duplicate_share": 0.1}),
    )
    assert "1,000 of" in message


TWINS = ["\u0456" + "1003", "i1003\u200b", "i1003 ", "\uff491003"]


@cache
def world_of_twins() -> tuple[CanonicalTables, Validation]:
    """A world in which four items look like i1003, and what validation made of it."""
    world = small_world(n_events=200)
    twins = [world.items.filter(item_id="i1003").with_columns(item_id=pl.lit(twin)) for twin in TWINS]
    broken = with_table(world, "items", pl.concat([world.items, *twins]))
    return broken, look(broken)


@pytest.mark.parametrize("twin", TWINS)
def test_an_id_that_looks_like_another_is_told_apart(twin: str) -> None:
    broken, validation = world_of_twins()
    quarantined = validation.quarantine["items"].select("item_id", "reason")
    assert quarantined.filter(item_id=twin).rows() == [(twin, "item_id_sound")]
    assert len(quarantined) == len(TWINS)
    assert_nothing_is_lost(validation, broken)


def test_too_few_valid_rows_stop_the_run(tables: CanonicalTables) -> None:
    broken = with_change(tables, "interactions", 0, value=9.0)
    n_valid = len(tables.interactions) - 1
    expect_failure(broken, "enough_rows", LENIENT.model_copy(update={"min_interactions": n_valid + 1}))
    assert look(broken, LENIENT.model_copy(update={"min_interactions": n_valid})).result["success"]


@pytest.mark.parametrize("name", ["interactions", "items"])
def test_a_table_without_rows_stops_the_run(tables: CanonicalTables, name: str) -> None:
    expect_failure(with_table(tables, name, getattr(tables, name).clear()), "enough_rows")


@pytest.mark.parametrize(("baseline", "passes"), [(0.5, True), (0.49, False), (2.0, True), (2.02, False)])
def test_the_volume_is_held_against_the_baseline(tables: CanonicalTables, baseline: float, passes: bool) -> None:
    n_rows = len(tables.interactions.head(100))
    hundred = with_table(tables, "interactions", tables.interactions.head(n_rows))
    # Of ratios 0.5 to 2 (LENIENT): a hundred rows may come after 50 to 200.
    assert look(hundred, interactions=round(n_rows * baseline)).result["success"] is passes


def test_people_who_all_vanished_since_the_baseline_stop_the_run(tables: CanonicalTables) -> None:
    expect_failure(with_table(tables, "users", tables.users.clear()), "volume_against_baseline", users=60)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.col("event_ts").dt.epoch("s"), "event_ts_type"),
        (pl.col("event_ts").dt.replace_time_zone(None), "event_ts_type"),
        (pl.col("value").cast(pl.Float32), "value_type"),
        (pl.col("user_id").cast(pl.Categorical), "user_id_type"),
    ],
)
def test_a_column_of_another_type_stops_the_run(tables: CanonicalTables, change: pl.Expr, rule: str) -> None:
    expect_failure(with_table(tables, "interactions", tables.interactions.with_columns(change)), rule)


@pytest.mark.parametrize("change", ["missing", "extra", "order"])
def test_other_columns_stop_the_run(tables: CanonicalTables, change: str) -> None:
    table = tables.interactions
    changed = {
        "missing": table.drop("session_id"),
        "extra": table.with_columns(colour=pl.lit("red")),
        "order": table.select(reversed(table.columns)),
    }[change]
    message = expect_failure(with_table(tables, "interactions", changed), "columns")
    assert "request_id" in message


def test_every_failing_table_is_told_at_once(tables: CanonicalTables) -> None:
    empty = CanonicalTables(tables.interactions.clear(), tables.items.clear(), tables.users)
    message = expect_failure(empty, "enough_rows")
    assert "interactions break rule" in message
    assert "items break rule" in message


def test_the_result_of_valid_data_does_not_depend_on_the_clock(tables: CanonicalTables) -> None:
    later = look(tables, now=NOW + timedelta(days=900))
    assert later.result == look(tables).result


@pytest.fixture
def workspace(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("baseline.json").write_text('{"tables": {}}')
    return folder


def stage_settings(**changes: Any) -> Settings:
    rules = LENIENT.model_copy(update=changes)
    return load_settings(PARAMS).model_copy(update={"validate_": rules})


def test_the_stage_writes_its_outputs_the_same_each_time(workspace: Path, tables: CanonicalTables) -> None:
    with_change(tables, "interactions", 5, value=9.0).save(RAW)
    stage.run(stage_settings(), FixedClock(NOW))
    first = {path: path.read_bytes() for folder in (VALID, QUARANTINE) for path in folder.iterdir()}
    result = VALIDATION_RESULT.read_bytes()
    assert len(first) == 2 * len(SCHEMAS)
    stage.run(stage_settings(), FixedClock(NOW + timedelta(days=1)))
    assert {path: path.read_bytes() for path in first} == first
    assert VALIDATION_RESULT.read_bytes() == result
    told = json.loads(result)["tables"]["interactions"]
    assert told["quarantined"] == 1
    assert told["quarantine_share"] == 1 / told["rows"] < 0.5


def test_the_report_for_people_needs_nothing_from_outside(workspace: Path, home: Home, tables: CanonicalTables) -> None:
    tables.save(RAW)
    stage.run(stage_settings(), FixedClock(NOW))
    page = (home.runs / "checkout" / "validation" / "index.html").read_text()
    assert "item_is_known" in page
    assert "As Great Expectations tells it" in page
    assert "['" not in page.partition("<summary>")[0]
    assert not [word for word in ("http:", "https:", "<script", "<link", "src=") if word in page]


@pytest.mark.parametrize(
    ("name", "column"), [("interactions", "event_type"), ("interactions", "item_id"), ("items", "title")]
)
def test_what_stands_in_the_data_cannot_break_the_report(
    tables: CanonicalTables, tmp_path: Path, name: str, column: str
) -> None:
    hostile = look(with_change(tables, name, 5, **{column: "<script>alert(1)</script>"}))
    write_docs(hostile, tmp_path)
    assert "<script" not in (tmp_path / "index.html").read_text()


def test_what_is_set_aside_within_the_bounds_is_not_called_broken(tables: CanonicalTables, tmp_path: Path) -> None:
    write_docs(look(with_change(tables, "interactions", 5, value=9.0)), tmp_path)
    page = (tmp_path / "index.html").read_text()
    words = " ".join(page.split())
    assert "Yes, the data is good. 1 row broke a rule: it is in quarantine, within the bounds." in words
    assert '<td class="name ">set aside</td> <td class="name">value_in_range</td>' in words
    assert ">broken<" not in page


@pytest.mark.parametrize(
    ("observed", "shown"),
    [(1851, "1,851"), (0.01122, "0.01122"), (["user_id", "item_id"], "user_id, item_id"), ([], ""), (None, "")],
)
def test_what_was_measured_is_written_for_people(observed: Any, shown: str) -> None:
    (rule,) = file_rules(LENIENT)
    assert RuleResult(rule, True, 0, 10, observed).measured == shown


def test_a_failed_run_leaves_its_report_where_the_message_says_and_no_output(
    workspace: Path, home: Home, tables: CanonicalTables
) -> None:
    with_change(tables, "interactions", 5, value=9.0).save(RAW)
    report = home.runs / "checkout" / "validation"
    with pytest.raises(ValidationFailed, match="break rule `quarantine_share`") as caught:
        stage.run(stage_settings(max_quarantine_share=0.0), FixedClock(NOW))
    assert str(report) in caught.value.next_step
    assert pl.read_parquet(report / "quarantine" / "interactions.parquet")["reason"].to_list() == ["value_in_range"]
    assert json.loads((report / "validation.json").read_text())["success"] is False
    assert "broken" in (report / "index.html").read_text()
    assert not any(path.exists() for path in (VALID, QUARANTINE, VALIDATION_RESULT))


def test_a_result_serves_as_the_next_baseline(workspace: Path, tables: CanonicalTables) -> None:
    tables.save(RAW)
    stage.run(stage_settings(), FixedClock(NOW))
    Path("baseline.json").write_bytes(VALIDATION_RESULT.read_bytes())
    tables_of_a_bad_day = with_table(tables, "interactions", tables.interactions.head(20))
    tables_of_a_bad_day.save(RAW)
    with pytest.raises(ValidationFailed, match="volume_against_baseline"):
        stage.run(stage_settings(baseline="baseline.json"), FixedClock(NOW))


@pytest.mark.parametrize("content", [None, "", "[]", '{"tables": {"items": {"rows": "many"}}}', '{"tables": 3}'])
def test_a_baseline_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"`validate\.baseline` names .*baseline\.json"):
        read_baseline(str(path))


def test_a_baseline_without_tables_sets_no_bounds(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text('{"tables": {}}')
    assert read_baseline(str(tmp_path / "baseline.json")) == Baseline()


def test_raw_tables_that_are_missing_are_named(workspace: Path) -> None:
    with pytest.raises(ArtefactError, match=r"interactions\.parquet is missing"):
        stage.run(stage_settings(), FixedClock(NOW))


@settings(max_examples=8, deadline=None)
@example(batch_rows=1, seed=0)
@given(batch_rows=st.integers(3, 20), seed=st.integers(0, 1000))
def test_batches_change_no_finding(batch_rows: int, seed: int) -> None:
    # Great Expectations takes most of the time, batch by batch: nine events and eight that repeat some make few.
    tables = small_world(n_users=3, n_items=3, n_events=60)
    rng = np.random.default_rng(seed)
    value = np.where(rng.random(len(tables.interactions)) < 0.2, 9.0, 4.0)
    broken = tables.interactions.with_columns(value=pl.Series(value))
    again = broken.sample(8, with_replacement=True, seed=seed).with_columns(value=pl.lit(3.0))
    changed = with_table(tables, "interactions", pl.concat([broken, again]))
    whole, parted = look(changed), look(changed, batch_rows=batch_rows)
    assert parted.result == whole.result
    for name in SCHEMAS:
        assert parted.folders.valid_file(name).read_bytes() == whole.folders.valid_file(name).read_bytes()
        assert parted.folders.quarantine_file(name).read_bytes() == whole.folders.quarantine_file(name).read_bytes()


def test_the_account_of_many_batches_counts_all_of_their_rows(tables: CanonicalTables) -> None:
    broken = with_change(with_change(tables, "interactions", 3, value=9.0), "interactions", 90, value=8.0)
    run = next(run for run in look(broken, batch_rows=50).runs if run.name == "interactions")
    account = next(one for one in run.evidence.results if one.expectation_config.meta["rule"] == "value_in_range")
    assert account.result["element_count"] == len(tables.interactions)
    assert account.result["partial_unexpected_list"] == [9.0, 8.0]
    assert account.result["unexpected_percent_total"] == pytest.approx(100 * 2 / len(tables.interactions))


def test_one_key_over_and_over_stands_in_one_batch() -> None:
    tables = small_world(n_users=6, n_items=6, n_events=40)
    again = with_table(
        tables, "interactions", pl.concat([tables.interactions, *[tables.interactions.sample(1, seed=1)] * 50])
    )
    validation = look(again, batch_rows=7)
    assert reasons(validation) == ["not_repeated"] * 50
    assert_nothing_is_lost(validation, again)


def test_rows_that_are_not_sorted_are_refused(tables: CanonicalTables) -> None:
    upside_down = {name: getattr(tables, name).reverse().lazy() for name in SCHEMAS}
    with pytest.raises(ArtefactError, match="is not sorted by item_id: row"):
        check_into(upside_down, batch_rows=5)


def profiled(validation: Validation) -> Baseline:
    rows = {name: check.n_rows for name, check in validation.tables.items()}
    return Baseline(rows, validation.profiles)


def test_data_that_is_as_it_was_has_not_moved(tables: CanonicalTables) -> None:
    again = look(tables, baseline=profiled(look(tables)))
    again.raise_failures()
    assert again.warnings == ()
    assert {drift.psi for drift in again.drifts if drift.table == "interactions"} == {0.0}
    assert "value_drift" in again.result["tables"]["interactions"]["rules"]


def test_a_column_that_moved_too_far_stops_the_run_with_its_bins(tables: CanonicalTables) -> None:
    moved = with_table(tables, "interactions", tables.interactions.with_columns(value=pl.lit(1.0)))
    with pytest.raises(ValidationFailed, match="break rule `value_drift`: expected that the population") as caught:
        look(moved, baseline=profiled(look(tables))).raise_failures()
    assert "of the baseline's rows, 100.0% now" in str(caught.value)
    assert "slate baseline accept" in caught.value.next_step


def test_a_column_that_moved_a_little_is_a_warning(tables: CanonicalTables) -> None:
    missing = pl.when(pl.int_range(pl.len()) % 20 == 0).then(None).otherwise(pl.col("session_id").fill_null("s"))
    given = tables.interactions.with_columns(session_id=pl.lit("s"))
    before = with_table(tables, "interactions", given)
    after = with_table(tables, "interactions", given.with_columns(session_id=missing))
    # Nine of 174 that are missing now: 0.0516 * ln(0.0517 / 0.0001) + 0.0517 * ln(1 / 0.9483) = 0.325.
    limits = LENIENT.drift.model_copy(update={"max_psi": 0.4})
    validation = look(after, LENIENT.model_copy(update={"drift": limits}), baseline=profiled(look(before)))
    validation.raise_failures()
    assert [one for one in validation.warnings if one.startswith("interactions.session_id has moved")]
    assert validation.result["warnings"] == list(validation.warnings)


def test_a_new_event_type_that_many_rows_have_stops_the_run(tables: CanonicalTables) -> None:
    word = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("share")).otherwise("event_type")
    moved = with_table(tables, "interactions", tables.interactions.with_columns(event_type=word))
    message = ""
    with pytest.raises(ValidationFailed) as caught:
        look(moved, baseline=profiled(look(tables))).raise_failures()
    message = str(caught.value)
    assert "`event_type_categories`" in message
    assert "new: share (50.0%)" in message


def test_a_baseline_of_before_profiles_bounds_volumes_and_says_so(tables: CanonicalTables) -> None:
    validation = look(tables, interactions=len(tables.interactions))
    assert validation.drifts == ()
    assert ["only volumes were compared" in one for one in validation.warnings] == [True]


def test_what_was_accepted_is_the_next_baseline(workspace: Path, tables: CanonicalTables) -> None:
    (workspace / "params.yaml").write_text(PARAMS.read_text().replace("baselines/movies.json", "baselines/today.json"))
    tables.save(RAW)
    stage.run(stage_settings(), FixedClock(NOW))
    answer = CliRunner().invoke(command_line(), ["baseline", "accept", "--json"], catch_exceptions=False)
    assert json.loads(answer.stdout)["rows"]["interactions"] == len(tables.interactions)
    moved = tables.interactions.with_columns(value=pl.lit(1.0))
    with_table(tables, "interactions", moved).save(RAW)
    settings_then = stage_settings(baseline="baselines/today.json")
    with pytest.raises(ValidationFailed, match="value_drift"):
        stage.run(settings_then, FixedClock(NOW))
    assert "value" in CliRunner().invoke(command_line(), ["baseline"], catch_exceptions=False).stdout
    # What failed for nothing but the baseline can become it.
    CliRunner().invoke(command_line(), ["baseline", "accept"], catch_exceptions=False)
    stage.run(settings_then, FixedClock(NOW))


def test_data_that_broke_another_rule_is_no_baseline(workspace: Path, tables: CanonicalTables) -> None:
    (workspace / "params.yaml").write_text(PARAMS.read_text())
    with_change(tables, "interactions", 5, value=9.0).save(RAW)
    with pytest.raises(ValidationFailed):
        stage.run(stage_settings(max_quarantine_share=0.0), FixedClock(NOW))
    with pytest.raises(ValidationFailed, match="also broke quarantine_share"):
        CliRunner().invoke(command_line(), ["baseline", "accept"], catch_exceptions=False)


def test_the_stage_checks_where_the_features_are_computed(
    workspace: Path, tables: CanonicalTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(stage, "suite_engine", lambda engine: asked.append(engine) or suite_engine("duckdb"))
    tables.save(RAW)
    chosen = stage_settings()
    for engine in ("duckdb", "spark"):
        features = chosen.features.model_copy(update={"engine": engine})
        stage.run(chosen.model_copy(update={"features": features}), FixedClock(NOW))
    assert asked == ["duckdb", "spark"]


@needs_spark
# pyspark leaves its sockets to the garbage collector, and says so of each.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_spark_finds_what_this_process_finds(tables: CanonicalTables) -> None:
    broken = with_change(tables, "interactions", 3, value=9.0, event_type="teleport")
    broken = with_change(broken, "interactions", 40, event_ts=NOW + timedelta(microseconds=1))
    broken = with_change(broken, "interactions", 41, event_ts=NOW)
    broken = with_change(broken, "interactions", 60, value=float("nan"))
    broken = with_change(broken, "interactions", 80, user_id=None)
    broken = with_change(broken, "items", 2, title=None, price=-1.0)
    broken = with_change(broken, "users", 2, age=121)
    broken = with_table(broken, "interactions", pl.concat([broken.interactions, broken.interactions.head(2)]))
    ours, sparks = look(broken), look(broken, engine=suite_engine("spark"))
    assert sparks.result == ours.result
    for name in SCHEMAS:
        assert sparks.quarantine[name].equals(ours.quarantine[name])
    assert len(ours.quarantine["interactions"]) >= 6
