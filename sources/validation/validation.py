"""Validation: a row that breaks a rule goes to quarantine with the reason; a table that breaks one stops the run.

Nothing is lost: the rows of a table are those that are valid and those in quarantine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from contracts.attributes import are_attributes
from contracts.drift import ColumnDrift, Verdict, table_drift
from contracts.errors import ValidationFailed
from contracts.profiles import TableProfile, write_profile
from contracts.settings.validate import ValidateSettings
from contracts.tables import IMPRESSIONS_SCHEMA, SCHEMAS, CanonicalTables, read_parquet, scan_impressions, write_parquet
from contracts.validation_rules import is_about_the_baseline
from sources.canonical.origins import NO_ORIGINS, Origins
from sources.canonical.refusals import none_refused
from sources.canonical.sound_ids import sound_ids
from sources.validation.baseline import Baseline
from sources.validation.failures import QUARANTINE_COLUMNS, REASON, Failure
from sources.validation.profile_build import build_profile
from sources.validation.row_batches import BATCH_ROWS, parquet_errors
from sources.validation.suite_engine import IN_PROCESS, SuiteEngine
from sources.validation.suite_run import SuiteRun
from sources.validation.suites import (
    ATTRIBUTES_SOUND,
    BUSIEST,
    ITEM_ID_SOUND,
    ITEM_KNOWN,
    PLACE_REPEATED,
    REPEATED,
    REQUEST_ID_SOUND,
    USER_ID_SOUND,
    USER_KNOWN,
    USER_SHARE,
    Rule,
    drift_rules,
    file_rules,
    impression_rules,
    interaction_rules,
    item_rules,
    outcome_rules,
    user_rules,
)
from sources.validation.swapped_columns import swapped_files
from sources.validation.table_check import (
    RowCheck,
    RowFolders,
    TableCheck,
    check_drift,
    check_layout,
    check_outcome,
    check_rows,
    check_swaps,
)

Tables = Mapping[str, pl.LazyFrame]


def scan_tables(folder: Path) -> Tables:
    """The canonical tables of a folder, to be read row by row; raises ArtefactError when one is missing or damaged."""
    tables = {name: _scan(folder / f"{name}.parquet") for name in SCHEMAS if name != "impressions"}
    return tables | {"impressions": scan_impressions(folder)}


def _scan(path: Path) -> pl.LazyFrame:
    table = pl.scan_parquet(path)
    with parquet_errors(str(path.with_suffix(""))):
        table.collect_schema()
    return table


@dataclass(frozen=True)
class Validation:
    """What came of validating the tables: a check of each, and its rows in the files of `folders`.

    profiles: of the valid rows' columns; drifts: of the columns against the baseline's; baseline: what they were.
    """

    tables: Mapping[str, TableCheck]
    folders: RowFolders
    baseline: Baseline = field(default_factory=Baseline)
    profiles: Mapping[str, TableProfile] = field(default_factory=dict)
    drifts: tuple[ColumnDrift, ...] = ()

    @property
    def valid(self) -> CanonicalTables:
        return CanonicalTables.load(self.folders.valid)

    @property
    def quarantine(self) -> dict[str, pl.DataFrame]:
        """The bad rows of each table with their `reason`; no rows where nothing was wrong."""
        return {name: read_parquet(self.folders.quarantine_file(name)) for name in self.tables}

    @property
    def runs(self) -> tuple[SuiteRun, ...]:
        return tuple(run for check in self.tables.values() for run in check.runs)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(failure for check in self.tables.values() for failure in check.failures)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What moved since the baseline without stopping the run, and what could not be compared."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        for drift in self.drifts:
            if drift.verdict is Verdict.MOVED:
                yield f"{drift.table}.{drift.column} has moved since the baseline: {drift.reason}"
        if self.baseline.rows and not self.baseline.profiles:
            yield "the baseline has no profiles, so only volumes were compared: `slate baseline accept` anew"

    @property
    def result(self) -> dict[str, Any]:
        """All counts and profiles, ready for JSON; equal for equal data, parameters and baseline."""
        return {
            "success": not self.failures,
            "tables": {name: self._table_json(name, check) for name, check in self.tables.items()},
            "failures": [asdict(failure) for failure in self.failures],
            "warnings": list(self.warnings),
            "drift": [_drift_json(drift) for drift in self.drifts],
        }

    def _table_json(self, name: str, check: TableCheck) -> dict[str, Any]:
        return {**_counts_json(check), "profile": write_profile(self.profiles.get(name, {}))}

    @property
    def files(self) -> dict[str, Any]:
        """The counts of each file of each table, ready for JSON; no part of the result, which names no file."""
        return {
            name: {file: counts.to_json() for file, counts in check.files.items()}
            for name, check in self.tables.items()
        }

    def save_quarantine(self, folder: Path) -> None:
        """Write `<name>.parquet` for each table."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.tables:
            shutil.copyfile(self.folders.quarantine_file(name), folder / f"{name}.parquet")

    def _quarantine_by_reason(self) -> Iterator[str]:
        """Each row counts once, with all the rules that it breaks, so that the counts add up to the total."""
        for name, check in self.tables.items():
            if check.n_quarantined:
                reasons = pl.scan_parquet(self.folders.quarantine_file(name)).group_by(REASON).len()
                counts = reasons.sort("len", REASON, descending=[True, False]).collect(engine="streaming").rows()
                words = "; ".join(f"{str(reason).replace(', ', ' and ')} {count:,}" for reason, count in counts)
                yield f"  Of {name}, {check.n_quarantined:,} rows are in quarantine: {words}."

    def raise_failures(self, report: Path | None = None) -> None:
        """Raise ValidationFailed when anything stops the run. report: where the bad rows and the result were put."""
        if self.failures:
            where = f"The bad rows and every rule's counts are in {report}: `slate quarantine` shows them. "
            normal = "Where it is what you want from now on, `slate baseline accept`. " if self._has_moved else ""
            raise ValidationFailed(
                "\n".join([*map(str, self.failures), *self._quarantine_by_reason()]),
                f"{where if report else ''}{normal}Mend the source, or, where the data is right, the bound under "
                "`validate` in params.yaml.",
            )

    @property
    def _has_moved(self) -> bool:
        return any(is_about_the_baseline(failure.rule) for failure in self.failures)


def check_tables(
    tables: Tables,
    settings: ValidateSettings,
    folders: RowFolders,
    *,
    baseline: Baseline,
    now: datetime,
    origins: Origins = NO_ORIGINS,
    refused: pl.DataFrame | None = None,
    engine: SuiteEngine = IN_PROCESS,
    batch_rows: int = BATCH_ROWS,
) -> Validation:
    """Check every rule on the tables, which are sorted by their keys; valid rows and bad ones go into `folders`.

    Nothing is raised for a broken rule: `Validation.failures` names those that stop a run.
    now: what is later is in the future; the outcome of a valid table does not depend on it.
    origins: where the rows were read; refused: those that could not be read; batch_rows: checked together.
    """
    unread = none_refused() if refused is None else refused
    return _TablesCheck(tables, settings, folders, baseline, now, origins, unread, engine, batch_rows).run()


@dataclass(frozen=True)
class _TablesCheck:
    tables: Tables
    settings: ValidateSettings
    folders: RowFolders
    baseline: Baseline
    now: datetime
    origins: Origins
    refused: pl.DataFrame
    engine: SuiteEngine
    batch_rows: int

    def run(self) -> Validation:
        layouts = {name: check_layout(name, self.tables[name]) for name in SCHEMAS}
        if any(layout.failures for layout in layouts.values()):
            self._write_nothing()
            return Validation(layouts, self.folders, self.baseline)
        # Items and people first: those in quarantine are unknown to the interactions.
        checks = {
            "items": self._check_rows("items", self._entities("items", "item_id", ITEM_ID_SOUND)),
            "users": self._check_rows("users", self._entities("users", "user_id", USER_ID_SOUND)),
            "interactions": self._check_rows("interactions", self._interactions()),
            "impressions": self._check_rows("impressions", self._impressions()),
        }
        return self._with_profiles(
            {name: _with_layout(layouts[name], self._with_outcome(name, checks[name])) for name in SCHEMAS}
        )

    def _check_rows(self, name: str, check: RowCheck) -> TableCheck:
        with parquet_errors(name):
            return check_rows(name, self.tables[name], check, self.folders)

    def _entities(self, name: str, key: str, sound: str) -> RowCheck:
        rules = item_rules(self.now) if name == "items" else user_rules(self.now)
        ids = self.tables[name].select(key).unique().collect(engine="streaming")[key]
        marks = {sound: _is_sound(ids)}
        if name == "items":
            marks[ATTRIBUTES_SOUND] = pl.col("attributes").map_batches(are_attributes, pl.Boolean)
        return self._row_check(name, rules, marks)

    def _interactions(self) -> RowCheck:
        events = self.tables["interactions"]
        people = events.group_by("user_id").len().collect(engine="streaming")
        items = events.select("item_id").unique().collect(engine="streaming")["item_id"]
        n_rows = int(people["len"].sum())
        # Rows without a sound id are nobody's: together they are not one person.
        known = people.filter(pl.col("user_id").is_in(sound_ids(people["user_id"]).implode())).sort("user_id")
        busiest = known.filter(
            pl.col("len") == pl.col("len").max(), pl.col("len") > self.settings.max_user_share * n_rows
        )
        share = (known["len"] / max(n_rows, 1)).extend_constant(0.0, 1)
        marks = {
            ITEM_KNOWN: self._is_known("items", items),
            USER_KNOWN: self._is_known("users", people["user_id"]),
            ITEM_ID_SOUND: _is_sound(items),
            USER_ID_SOUND: _is_sound(people["user_id"]),
            BUSIEST: pl.col("user_id").is_in(busiest["user_id"].head(1).implode()).fill_null(value=False),
        }
        users_are_known = self.tables["users"].head(1).collect().height > 0
        rules = interaction_rules(self.settings, self.now, users_are_known=users_are_known)
        return self._row_check("interactions", rules, marks, {USER_SHARE: pl.DataFrame({USER_SHARE: share})})

    def _impressions(self) -> RowCheck:
        shown = self.tables["impressions"]
        items, requests = (
            shown.select(name).unique().collect(engine="streaming")[name] for name in ("item_id", "request_id")
        )
        marks = {
            ITEM_KNOWN: self._is_known("items", items),
            REQUEST_ID_SOUND: _is_sound(requests),
            PLACE_REPEATED: _is_place_taken(shown),
        }
        return self._row_check("impressions", impression_rules(self.now), marks)

    def _row_check(
        self,
        name: str,
        rules: list[Rule],
        marks: Mapping[str, pl.Expr],
        measured: Mapping[str, pl.DataFrame] | None = None,
    ) -> RowCheck:
        refused = self.refused.filter(table=name)
        return RowCheck(rules, marks, measured or {}, self.origins, refused, self.engine, self.batch_rows)

    def _is_known(self, name: str, ids: pl.Series) -> pl.Expr:
        # Few of millions of ids are unknown, so each batch is searched for the unknown ones.
        known = pl.read_parquet(self.folders.valid_file(name), columns=[ids.name])[ids.name]
        unknown = ids.filter(~ids.is_in(known.implode())).drop_nulls()
        return ~pl.col(ids.name).is_in(unknown.implode())

    def _with_outcome(self, name: str, check: TableCheck) -> TableCheck:
        least_rows = {"interactions": self.settings.min_interactions, "items": 1, "users": 0, "impressions": 0}
        rules = outcome_rules(
            self.settings,
            n_rows=check.n_rows,
            least_rows=least_rows[name],
            baseline_rows=self.baseline.rows.get(name, 0),
        )
        baseline_rows = self.baseline.rows.get(name, 0)
        checked = check_outcome(name, check, rules, self.folders, self.engine, baseline_rows=baseline_rows)
        if name != "interactions" or len(check.files) < 2:
            return checked
        with parquet_errors(name):
            swaps = swapped_files(self.tables[name], self.origins)
        return check_swaps(name, checked, swaps, file_rules(self.settings))

    def _with_profiles(self, checks: Mapping[str, TableCheck]) -> Validation:
        profiles = {name: build_profile(pl.scan_parquet(self.folders.valid_file(name))) for name in checks}
        drifts: list[ColumnDrift] = []
        judged: dict[str, TableCheck] = {}
        limits = self.settings.drift
        for name, check in checks.items():
            then = self.baseline.profiles.get(name)
            moved = table_drift(name, then, profiles[name], limits) if then else ()
            drifts += moved
            judged[name] = check_drift(name, check, moved, drift_rules(moved, limits))
        return Validation(judged, self.folders, self.baseline, profiles, tuple(drifts))

    def _write_nothing(self) -> None:
        for name, schema in SCHEMAS.items():
            write_parquet(pl.DataFrame(schema={**schema, **QUARANTINE_COLUMNS}), self.folders.quarantine_file(name))


def _is_place_taken(impressions: pl.LazyFrame) -> pl.Expr:
    """Whether an earlier row of the table shows an item at the same position of the same request."""
    place, row = pl.struct("request_id", "position"), pl.struct(*IMPRESSIONS_SCHEMA)
    counts = impressions.group_by("request_id", "position").len().filter(pl.col("len") > 1)
    repeated = counts.select(place=place).collect(engine="streaming")["place"]
    rows = impressions.filter(place.is_in(repeated.implode())).collect()
    first = rows.unique(["request_id", "position"], keep="first", maintain_order=True).select(row=row)["row"]
    return pl.col(REPEATED) | (place.is_in(repeated.implode()) & ~row.is_in(first.implode()))


def _is_sound(ids: pl.Series) -> pl.Expr:
    # A missing id breaks another rule.
    unsound = ids.filter(~ids.is_in(sound_ids(ids).implode())).drop_nulls()
    return (~pl.col(ids.name).is_in(unsound.implode())).fill_null(value=True)


def _with_layout(layout: TableCheck, rest: TableCheck) -> TableCheck:
    return TableCheck(
        rest.n_valid,
        rest.n_quarantined,
        (*layout.runs, *rest.runs),
        (*layout.failures, *rest.failures),
        rest.n_unreadable,
        rest.files,
    )


def _drift_json(drift: ColumnDrift) -> dict[str, Any]:
    return {
        "table": drift.table,
        "column": drift.column,
        "verdict": str(drift.verdict),
        "reason": drift.reason,
        "psi": None if drift.psi is None else round(drift.psi, 6),
    }


def _counts_json(check: TableCheck) -> dict[str, Any]:
    return {
        "rows": check.n_rows,
        "valid": check.n_valid,
        "quarantined": check.n_quarantined,
        "quarantine_share": check.n_quarantined / check.n_rows if check.n_rows else 0.0,
        "rules": dict(_rule_counts(check)),
    }


def _rule_counts(check: TableCheck) -> Iterator[tuple[str, dict[str, Any]]]:
    for run in check.runs:
        for result in run.results:
            rule = result.rule
            counts = {"level": str(rule.level), "says": rule.says, "passed": result.passed}
            yield rule.name, {**counts, "rows_checked": run.n_rows, "rows_broken": result.n_broken}
