"""Validation: rows that break a rule go to quarantine with the reasons; a table that breaks one stops the run.

Nothing is lost: the rows of a table are those that are valid and those in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import ValidationFailed
from contracts.settings import ValidateSettings
from contracts.tables import SCHEMAS, CanonicalTables, write_parquet
from sources.baseline import Baseline
from sources.origins import NO_ORIGINS, Origins
from sources.refusals import SCHEMA as REFUSED_SCHEMA
from sources.sound_ids import sound_ids
from sources.suite_run import SuiteRun
from sources.suites import (
    BUSIEST,
    ITEM_ID_SOUND,
    ITEM_KNOWN,
    PLACE_REPEATED,
    REQUEST_ID_SOUND,
    USER_ID_SOUND,
    USER_KNOWN,
    USER_SHARE,
    Rule,
    impression_rules,
    interaction_rules,
    item_rules,
    outcome_rules,
    user_rules,
)
from sources.table_check import Failure, TableCheck, check_layout, check_outcome, check_rows, with_refused


@dataclass(frozen=True)
class Validation:
    """What came of validating the tables: check by table name."""

    tables: Mapping[str, TableCheck]

    @property
    def valid(self) -> CanonicalTables:
        return CanonicalTables(**{name: check.valid for name, check in self.tables.items()})

    @property
    def quarantine(self) -> dict[str, pl.DataFrame]:
        """The bad rows of each table with their `reason`; no rows where nothing was wrong."""
        return {name: check.quarantine for name, check in self.tables.items()}

    @property
    def runs(self) -> tuple[SuiteRun, ...]:
        return tuple(run for check in self.tables.values() for run in check.runs)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(failure for check in self.tables.values() for failure in check.failures)

    @property
    def result(self) -> dict[str, Any]:
        """All counts, as JSON can say them; the same for the same data and parameters."""
        return {
            "success": not self.failures,
            "tables": {name: _counts(check) for name, check in self.tables.items()},
            "failures": [asdict(failure) for failure in self.failures],
        }

    def save_quarantine(self, folder: Path) -> None:
        """Write `<name>.parquet` for each table."""
        for name, table in self.quarantine.items():
            write_parquet(table, folder / f"{name}.parquet")

    def _quarantine_by_rule(self) -> Iterator[str]:
        for name, check in self.tables.items():
            broken = [(finding.rule.name, len(finding.rows)) for run in check.runs for finding in run.findings]
            counts = ", ".join(f"{rule} {count:,}" for rule, count in broken if count)
            if counts:
                yield f"  Rows of {name} in quarantine by rule: {counts}."

    def raise_failures(self, report: Path | None = None) -> None:
        """Raise ValidationFailed when anything stops the run. report: where the bad rows and the result were put."""
        if self.failures:
            where = f"The bad rows and every rule's counts are in {report}. " if report else ""
            raise ValidationFailed(
                "\n".join([*map(str, self.failures), *self._quarantine_by_rule()]),
                f"{where}Mend the source, or, where the data is right, the bound under `validate` in params.yaml.",
            )


def validate(tables: CanonicalTables, settings: ValidateSettings, *, baseline: Baseline, now: datetime) -> Validation:
    """Check the tables and part good rows from bad ones; raises ValidationFailed when a table-level rule breaks.

    now: what is later is in the future. A valid table's outcome does not depend on it.
    """
    validation = examine(tables, settings, baseline=baseline, now=now)
    validation.raise_failures()
    return validation


def examine(
    tables: CanonicalTables,
    settings: ValidateSettings,
    *,
    baseline: Baseline,
    now: datetime,
    origins: Origins = NO_ORIGINS,
    refused: pl.DataFrame | None = None,
) -> Validation:
    """As `validate`, but what stops the run is only told, in `failures`.

    origins: where the rows of the tables were read; refused: the rows that could not be (see sources.refusals).
    """
    layouts = {name: check_layout(name, getattr(tables, name)) for name in SCHEMAS}
    if any(layout.failures for layout in layouts.values()):
        return Validation(layouts)
    # Items and people first: those in quarantine are unknown to the interactions.
    item_marks = {ITEM_ID_SOUND: _is_sound(tables.items["item_id"])}
    user_marks = {USER_ID_SOUND: _is_sound(tables.users["user_id"])}
    items = check_rows("items", tables.items, item_rules(now), item_marks, origins)
    users = check_rows("users", tables.users, user_rules(now), user_marks, origins)
    checked = {
        "interactions": _check_interactions(tables, items.valid, users.valid, settings, now, origins),
        "items": items,
        "users": users,
        "impressions": _check_impressions(tables, items.valid, now, origins),
    }
    aside = pl.DataFrame(schema=REFUSED_SCHEMA) if refused is None else refused
    parted = {name: with_refused(name, check, aside.filter(table=name)) for name, check in checked.items()}
    outcomes = {
        name: check_outcome(name, check, _outcome_rules(name, check, settings, baseline))
        for name, check in parted.items()
    }
    return Validation({name: _with_layout(layouts[name], outcome) for name, outcome in outcomes.items()})


def _check_interactions(
    tables: CanonicalTables,
    items: pl.DataFrame,
    users: pl.DataFrame,
    settings: ValidateSettings,
    now: datetime,
    origins: Origins,
) -> TableCheck:
    rules = interaction_rules(settings, now, users_are_known=not tables.users.is_empty())
    share = pl.len().over("user_id") / pl.len()
    marks = {
        ITEM_KNOWN: pl.col("item_id").is_in(items["item_id"].implode()),
        USER_KNOWN: pl.col("user_id").is_in(users["user_id"].implode()),
        ITEM_ID_SOUND: _is_sound(tables.interactions["item_id"]),
        USER_ID_SOUND: _is_sound(tables.interactions["user_id"]),
        USER_SHARE: share,
        BUSIEST: share > settings.max_user_share,
    }
    return check_rows("interactions", tables.interactions, rules, marks, origins)


def _check_impressions(tables: CanonicalTables, items: pl.DataFrame, now: datetime, origins: Origins) -> TableCheck:
    marks = {
        ITEM_KNOWN: pl.col("item_id").is_in(items["item_id"].implode()),
        REQUEST_ID_SOUND: _is_sound(tables.impressions["request_id"]),
        PLACE_REPEATED: ~pl.struct("request_id", "position").is_first_distinct(),
    }
    return check_rows("impressions", tables.impressions, impression_rules(now), marks, origins)


def _is_sound(ids: pl.Series) -> pl.Expr:
    # One that is missing breaks the rule that says so.
    return pl.col(ids.name).is_in(sound_ids(ids).implode()).fill_null(value=True)


def _outcome_rules(name: str, check: TableCheck, settings: ValidateSettings, baseline: Baseline) -> list[Rule]:
    least_rows = {"interactions": settings.min_interactions, "items": 1, "users": 0, "impressions": 0}
    return outcome_rules(
        settings,
        n_rows=_n_rows(check),
        least_rows=least_rows[name],
        baseline_rows=baseline.rows.get(name, 0),
    )


def _with_layout(layout: TableCheck, rest: TableCheck) -> TableCheck:
    return TableCheck(rest.valid, rest.quarantine, (*layout.runs, *rest.runs), (*layout.failures, *rest.failures))


def _n_rows(check: TableCheck) -> int:
    return len(check.valid) + len(check.quarantine)


def _counts(check: TableCheck) -> dict[str, Any]:
    n_rows = _n_rows(check)
    return {
        "rows": n_rows,
        "valid": len(check.valid),
        "quarantined": len(check.quarantine),
        "quarantine_share": len(check.quarantine) / n_rows if n_rows else 0.0,
        "rules": dict(_rule_counts(check)),
    }


def _rule_counts(check: TableCheck) -> Iterator[tuple[str, dict[str, Any]]]:
    for run in check.runs:
        for finding in run.findings:
            rule = finding.rule
            counts = {"level": str(rule.level), "says": rule.says, "passed": finding.passed}
            yield rule.name, {**counts, "rows_checked": run.n_rows, "rows_broken": len(finding.rows)}
