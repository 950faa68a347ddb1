"""The rules of the canonical tables, as Great Expectations suites, beside the schema they belong to.

A row-level rule sends the rows that break it to quarantine; a table-level rule that breaks stops the run.
Importing this module takes seconds (Great Expectations), so only the validate stage does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import great_expectations.expectations as gxe
import polars as pl
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from contracts.counted import counted
from contracts.drift import ColumnDrift
from contracts.events import EventType
from contracts.settings.drift import DriftSettings
from contracts.settings.validate import ValidateSettings
from contracts.tables import MAX_ID_LENGTH
from contracts.validation_rules import CATEGORIES, DRIFT, LARGEST_AGE, LEAST_PRICE, OLDEST_WORK_YEAR, VOLUME

# Columns that `validation.py` adds for rules that need other rows, or another table.
USER_KNOWN = "user_known"
ITEM_KNOWN = "item_known"
REPEATED = "repeated"
USER_ID_SOUND = "user_id_sound"
ITEM_ID_SOUND = "item_id_sound"
USER_SHARE = "user_share"
BUSIEST = "busiest"
REQUEST_ID_SOUND = "request_id_sound"
ATTRIBUTES_SOUND = "attributes_sound"
PLACE_REPEATED = "place_repeated"
READABLE = "readable"
KEPT = "kept"
SWAPPED = "swapped"
QUARANTINED = "quarantined"
# The rule whose broken rows repeat others.
NOT_REPEATED = "not_repeated"
# A measure of drift is in a column named after the one that it is of, with one of these endings.
PSI = " psi"
CATEGORY_SHARE = " category share"

# Nobody logged clicks before there was a web; an older time is a broken clock or a wrong unit.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
ANNOUNCED_YEARS = 10


class Level(StrEnum):
    """What breaks with a rule: single rows, or the table."""

    ROW = "row"
    TABLE = "table"


@dataclass(frozen=True)
class Rule:
    """One rule. says: what holds when it is kept, for people.

    example_column: marks the rows of which some are shown when a table-level rule breaks.
    """

    name: str
    level: Level
    says: str
    expectation: Expectation
    example_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at; none where it is about the table's columns or its length."""
        condition = getattr(self.expectation, "row_condition", None)
        column = getattr(self.expectation, "column", None)
        return tuple(one for one in (column, condition.column.name if condition else None) if one)

    @property
    def is_about_presence(self) -> bool:
        """Whether it only requires that its column has a value."""
        return len(self.columns) == 1 and isinstance(self.expectation, gxe.ExpectColumnValuesToNotBeNull)


def _row_rule(name: str, says: str, kind: type[Expectation], **terms: Any) -> Rule:
    return Rule(name, Level.ROW, says, kind(**terms, description=says, meta={"rule": name}))


def _table_rule(name: str, says: str, kind: type[Expectation], example_column: str | None = None, **terms: Any) -> Rule:
    return Rule(name, Level.TABLE, says, kind(**terms, description=says, meta={"rule": name}), example_column)


def layout_rules(schema: pl.Schema, present: Sequence[str]) -> list[Rule]:
    """Columns and types, as rules over one row that holds each column's type by the column's name.

    present: the columns that are there; only they have a type.
    """
    columns = _table_rule(
        "columns",
        f"the columns are {', '.join(schema)}, in this order",
        gxe.ExpectTableColumnsToMatchOrderedList,
        column_list=list(schema),
    )
    types = [
        _table_rule(
            f"{name}_type",
            f"{name} is of type {dtype}",
            gxe.ExpectColumnValuesToBeInSet,
            column=name,
            value_set=[str(dtype)],
        )
        for name, dtype in schema.items()
        if name in present
    ]
    return [columns, *types]


def interaction_rules(settings: ValidateSettings, now: datetime, *, users_are_known: bool) -> list[Rule]:
    """The rules for interactions. users_are_known: False where the source has only the ids of people."""
    words = sorted(EventType)
    return [
        *_present("user_id", "item_id", "event_type", "event_ts"),
        _sound("user_id", USER_ID_SOUND),
        _sound("item_id", ITEM_ID_SOUND),
        *([_in_set("user_is_known", "user_id stands in users", USER_KNOWN, True)] if users_are_known else []),
        _in_set("item_is_known", "item_id stands in items", ITEM_KNOWN, True),
        _in_set("event_type_is_known", f"event_type is one of {', '.join(words)}", "event_type", *map(str, words)),
        _in_time("event_ts", now),
        _value_in_range(settings),
        _rating_has_value(),
        _not_repeated("an interaction (user, item, type and time; of whole days: every cell of its row)"),
        _duplicate_share(settings.max_duplicate_share),
        _user_share(settings.max_user_share),
    ]


def item_rules(now: datetime) -> list[Rule]:
    """The rules for items."""
    return [
        *_present("item_id", "title"),
        _sound("item_id", ITEM_ID_SOUND),
        _not_repeated("an item_id"),
        _in_time("created_ts", now),
        _between("price", LEAST_PRICE, None, "at least 0"),
        _between(
            "release_year",
            OLDEST_WORK_YEAR,
            now.year + ANNOUNCED_YEARS,
            f"between {OLDEST_WORK_YEAR} and {ANNOUNCED_YEARS} years ahead",
        ),
        _in_set(
            ATTRIBUTES_SOUND,
            "attributes is a JSON object of texts, numbers and booleans, or is not given",
            ATTRIBUTES_SOUND,
            True,
        ),
    ]


def user_rules(now: datetime) -> list[Rule]:
    """The rules for people."""
    return [
        *_present("user_id"),
        _sound("user_id", USER_ID_SOUND),
        _not_repeated("a user_id"),
        _in_time("signup_ts", now),
        _between("age", 0, LARGEST_AGE, f"between 0 and {LARGEST_AGE}"),
    ]


def impression_rules(now: datetime) -> list[Rule]:
    """The rules for impressions."""
    return [
        *_present("request_id", "position", "item_id", "event_ts"),
        _sound("request_id", REQUEST_ID_SOUND),
        _in_set("item_is_known", "item_id stands in items", ITEM_KNOWN, True),
        _in_time("event_ts", now),
        _between("position", 1, None, "at least 1"),
        _row_rule(
            "propensity_in_range",
            "propensity is above 0 and at most 1, or is not given",
            gxe.ExpectColumnValuesToBeBetween,
            column="propensity",
            min_value=0,
            strict_min=True,
            max_value=1,
        ),
        _in_set(
            "place_is_free", "at one position of a request one item is shown (the first is kept)", PLACE_REPEATED, False
        ),
    ]


def outcome_rules(settings: ValidateSettings, *, n_rows: int, least_rows: int, baseline_rows: int) -> list[Rule]:
    """The rules for the table as a whole, once its bad rows are in quarantine.

    least_rows: valid rows that must be left; baseline_rows: those of the baseline, 0 where there is none.
    """
    rules = []
    if n_rows:
        rules.append(_in_set("readable", "every cell of the source's row could be read", READABLE, True))
        rules.append(_quarantine_share(settings.max_quarantine_share))
    if least_rows:
        rules.append(_enough_rows(least_rows))
    if baseline_rows:
        least, most = settings.min_volume_ratio * baseline_rows, settings.max_volume_ratio * baseline_rows
        rules.append(_volume(math.ceil(least), math.floor(most), baseline_rows))
    return rules


def file_rules(settings: ValidateSettings) -> list[Rule]:
    """The rules for the files of a table, each held against the others."""
    most = settings.max_swapped_files
    kind = gxe.ExpectColumnSumToBeBetween
    files = counted(most, "file has", "files have")
    says = f"at most {files} two columns in each other's place, by what the other files hold"
    return [_table_rule("columns_in_place", says, kind, column=SWAPPED, max_value=most)]


def drift_rules(drifts: Sequence[ColumnDrift], settings: DriftSettings) -> list[Rule]:
    """The rules for each column that was compared with the baseline's: it has not moved too far."""
    return [rule for drift in drifts if drift.psi is not None for rule in _column_drift_rules(drift, settings)]


def _column_drift_rules(drift: ColumnDrift, settings: DriftSettings) -> Iterator[Rule]:
    column, most = drift.column, settings.max_psi
    says = f"the population stability index of {column} against the baseline is at most {most:g}"
    yield _table_rule(column + DRIFT, says, gxe.ExpectColumnMaxToBeBetween, column=column + PSI, max_value=most)
    if drift.new is not None:
        share = settings.max_category_share
        says = f"at most a share of {share:g} has values of {column} that are new, or had ones that vanished"
        kind = gxe.ExpectColumnMaxToBeBetween
        yield _table_rule(column + CATEGORIES, says, kind, column=column + CATEGORY_SHARE, max_value=share)


def _in_set(name: str, says: str, column: str, *values: str | bool) -> Rule:
    return _row_rule(name, says, gxe.ExpectColumnValuesToBeInSet, column=column, value_set=list(values))


def _value_in_range(settings: ValidateSettings) -> Rule:
    return _row_rule(
        "value_in_range",
        f"value lies between {settings.min_value:g} and {settings.max_value:g}, or is not given",
        gxe.ExpectColumnValuesToBeBetween,
        column="value",
        min_value=settings.min_value,
        max_value=settings.max_value,
    )


def _rating_has_value() -> Rule:
    return _row_rule(
        "rating_has_value",
        "an event of type rating has a value",
        gxe.ExpectColumnValuesToNotBeNull,
        column="value",
        row_condition=Column("event_type") == str(EventType.RATING),
    )


def _duplicate_share(most: float) -> Rule:
    return _table_rule(
        "duplicate_share",
        f"at most a share of {most:g} repeats an earlier interaction",
        gxe.ExpectColumnMeanToBeBetween,
        example_column=REPEATED,
        column=REPEATED,
        max_value=most,
    )


def _user_share(most: float) -> Rule:
    return _table_rule(
        "user_share",
        f"nobody has more than a share of {most:g} of the interactions",
        gxe.ExpectColumnMaxToBeBetween,
        example_column=BUSIEST,
        column=USER_SHARE,
        max_value=most,
    )


def _quarantine_share(most: float) -> Rule:
    return _table_rule(
        "quarantine_share",
        f"at most a share of {most:g} is in quarantine",
        gxe.ExpectColumnMeanToBeBetween,
        example_column=QUARANTINED,
        column=QUARANTINED,
        max_value=most,
    )


def _enough_rows(least: int) -> Rule:
    says = f"at least {least:,} valid rows are left"
    return _table_rule("enough_rows", says, gxe.ExpectColumnSumToBeBetween, column=KEPT, min_value=least)


def _volume(least: int, most: int, baseline_rows: int) -> Rule:
    return _table_rule(
        VOLUME,
        f"there are {least:,} to {most:,} rows (the baseline has {baseline_rows:,})",
        gxe.ExpectTableRowCountToBeBetween,
        min_value=least,
        max_value=most,
    )


def _present(*columns: str) -> Sequence[Rule]:
    return [
        _row_rule(f"{name}_present", f"{name} is given", gxe.ExpectColumnValuesToNotBeNull, column=name)
        for name in columns
    ]


def _sound(column: str, sound: str) -> Rule:
    says = (
        f"{column}, where it is given, is more than blanks, at most {MAX_ID_LENGTH} characters, "
        "and looks like no plainer one"
    )
    return _in_set(f"{column}_sound", says, sound, True)


def _not_repeated(what: str) -> Rule:
    says = f"{what} occurs once (the first is kept)"
    return _in_set(NOT_REPEATED, says, REPEATED, False)


def _in_time(column: str, now: datetime) -> Rule:
    return _row_rule(
        f"{column}_in_range",
        f"{column} lies between {EARLIEST:%Y-%m-%d} and now",
        gxe.ExpectColumnValuesToBeBetween,
        column=column,
        min_value=EARLIEST,
        max_value=now,
    )


def _between(column: str, least: float, most: float | None, bounds: str) -> Rule:
    # The bounds in words never hold today's date: they stand in the result, which must not change from day to day.
    return _row_rule(
        f"{column}_in_range",
        f"{column} is {bounds}, or is not given",
        gxe.ExpectColumnValuesToBeBetween,
        column=column,
        min_value=least,
        max_value=most,
    )
