"""`slate inspect`: looks at unknown files, proposes a mapping, and lists what is wrong with them by that mapping.

To find what is wrong, it runs the ingest and the validation themselves, into a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import polars as pl

from contracts.counted import counted
from contracts.errors import SourceError
from contracts.events import EventType
from contracts.printable import printable, printable_line
from contracts.settings.validate import ValidateSettings
from contracts.tables import SCHEMAS, CanonicalTables
from sources.canonical.ingest_report import IngestReport
from sources.canonical.origins import Origins
from sources.canonical.refusals import load_refusals, none_refused
from sources.canonical.row_text import as_line
from sources.files.data_files import DataFile, find_files, is_url
from sources.files.export_reader import write_tables
from sources.inspection.agreed_writing import deviating_files
from sources.inspection.bounds import Bound, needed_bounds
from sources.inspection.doubled_files import DoubledFile, doubled_files
from sources.inspection.file_groups import FileGroup, group_files
from sources.inspection.first_look import FirstLook, look_at
from sources.inspection.fitting_preset import FittingPreset, fitting_preset
from sources.inspection.proposal import Proposal, propose
from sources.inspection.roles import said_of_events
from sources.movielens.movielens import CSV_LAYOUT, layout_name
from sources.validation.baseline import Baseline

if TYPE_CHECKING:
    from sources.validation.failures import Failure
    from sources.validation.validation import Validation

MAX_CHECKED = 1_000_000  # interactions checked by the rules; all of them are read
STOPS = "This stops the stage `validate`: mend the source, or the bound under `validate` where the data is right."
WRITE_ALIKE = (
    "One mapping reads all files of a path: write this one like the others, or move it away and map it by itself."
)
N_FILES = 3  # named in a problem
N_COLUMNS = 30  # named as read by nothing
RATED_AT_MOST = 10.0
N_RATINGS = 21  # 0 to 10 in halves
NEEDED_WORDS = {"user_id": "a person", "item_id": "an item", "event_ts": "a time"}
OF_REPEATS = ("max_duplicate_share", "max_quarantine_share")  # what a file that is there twice breaks


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. row, column: None where it is the file as a whole; count: of rows like this.

    by_file: how many of them each file has, the worst first, where there are several files; stops: nothing can be built
    before it is mended.
    """

    file: str | None
    row: int | None
    column: str | None
    found: str
    next_step: str
    count: int = 1
    by_file: Mapping[str, int] = field(default_factory=dict)
    stops: bool = False

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (self.file, self.row and f"row {self.row}", self.column and f"column {self.column}")
            if part
        )
        where = printable_line(where)
        many = f" ({self.count:,} rows{self._by_file_text()})" if self.count > 1 else ""
        return printable(f"{where + ': ' if where else ''}{self.found}{many}\n  {self.next_step}")

    def _by_file_text(self) -> str:
        shown = [f"{count:,} in {printable_line(file)}" for file, count in list(self.by_file.items())[:N_FILES]]
        rest = sum(list(self.by_file.values())[N_FILES:])
        more = [f"{rest:,} in {len(self.by_file) - N_FILES:,} more"] if rest else []
        return f": {', '.join(shown + more)}" if len(self.by_file) > 1 else ""


@dataclass
class Inspection:
    """What was seen of files. groups: those that are parts of one table, together; proposal: None without interactions.

    report: what ingest would say; values: the least and the largest value to allow under `validate`, None where no
    value is mapped; bounds: what else must be set under `validate`, and why; preset: None where nothing was read.
    """

    root: str
    groups: list[FileGroup]
    proposal: Proposal | None
    report: IngestReport | None = None
    values: tuple[float, float] | None = None
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    preset: FittingPreset | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def builds(self) -> bool:
        """Whether the proposal, pasted as it is, passes `ingest` and `validate`."""
        return self.proposal is not None and not any(problem.stops for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.root,
            "tables": [
                {
                    "table": group.guess and group.guess.table,
                    "files": group.names,
                    "columns": dict(group.guess.columns) if group.guess else {},
                    "found": {name: list(column.examples) for name, column in group.samples.items()},
                }
                for group in self.groups
            ],
            "files": self.proposal and self.proposal.files,
            "event_types": dict(self.proposal.event_types) if self.proposal else {},
            "report": self.report and self.report.to_json(),
            "values": self.values,
            "bounds": {name: asdict(bound) for name, bound in self.bounds.items()},
            "preset": self.preset and asdict(self.preset),
            "builds": self.builds,
            "problems": [asdict(problem) for problem in self.problems],
            "notes": self.notes,
        }


def inspect_files(
    paths: Sequence[str], rules: ValidateSettings, now: datetime, begin: Callable[[str], None] = lambda _: None
) -> Inspection:
    """Look at files, folders, patterns or URLs. rules: for the rows; the range of values is taken from the data.

    begin: is told each step, in words, when it begins.

    Raises SourceError when none of them holds a data file.
    """
    root, files, notes = _find(paths)
    begin(f"looking at {counted(len(files), 'file')}")
    looks, problems = _look(files)
    notes += _other_sheets(looks)
    begin("counting the types of events")
    groups = group_files(looks)
    inspection = Inspection(root, groups, propose(groups, root), problems=problems, notes=notes)
    if inspection.proposal is None:
        inspection.problems += [_no_interactions(groups)] if groups else []
        return inspection
    inspection.problems += _deviation_problems(groups, inspection.proposal)
    named = {problem.file for problem in inspection.problems}
    for name in inspection.proposal.unused:
        if name not in named:
            inspection.notes.append(f"{name} is left out: it is none of the three tables, or another file fits better.")
    inspection.notes += [*inspection.proposal.notes, *_not_read(groups, inspection.proposal)]
    inspection.problems += [
        Problem(None, None, None, question, "Nothing is built before this is answered.", stops=True)
        for question in inspection.proposal.questions
    ]
    _check_proposal(inspection, inspection.proposal, rules, now, begin)
    return inspection


def _deviation_problems(groups: Sequence[FileGroup], proposal: Proposal) -> Iterator[Problem]:
    """The files of a table that the mapping of most of its files does not read."""
    chosen = [group for group in groups if group.guess is not None and group.names[0] not in proposal.unused]
    for group in chosen:
        for column in group.recognised.columns.values():
            for one in deviating_files(group.samples[column], group.looks):
                found = f"it is written like {one.found}, where most files are like {one.usual}"
                yield Problem(one.file, None, one.column, found, WRITE_ALIKE)
    for group in groups:
        larger = next((one for one in chosen if set(one.samples) == set(group.samples)), None)
        if group.names[0] in proposal.unused and larger is not None:
            for name in group.names:
                found = f"it is {_in_words(group)}, where the files with the same columns are {_in_words(larger)}"
                yield Problem(name, None, None, found, f"It is left out. {WRITE_ALIKE}")


def _in_words(group: FileGroup) -> str:
    look = group.looks[0]
    kind = look.settings.format or look.file.format
    separator = f" separated by {look.settings.separator or ','!r}" if kind == "csv" else ""
    return f"{kind}{separator} in {look.settings.encoding}"


def _not_read(groups: Sequence[FileGroup], proposal: Proposal) -> Iterator[str]:
    items = proposal.files.get("items", {})
    read = set(items["columns"].values()) if "from" in items else set()
    read |= {one if isinstance(one, str) else one["column"] for one in items.get("attributes", {}).values()}
    for group in groups:
        if group.guess is not None and group.names[0] not in proposal.unused:
            known = read | set(group.guess.columns.values()) | set(proposal.told_of)
            columns = [column for column in group.samples if column not in known]
            if columns:
                more = f" and {len(columns) - N_COLUMNS:,} more" if len(columns) > N_COLUMNS else ""
                named = f"{', '.join(columns[:N_COLUMNS])}{more}"
                yield f"{group.guess.table}: nothing reads {named}; if one fits, name it under `columns`."


def _find(paths: Sequence[str]) -> tuple[str, list[DataFile], list[str]]:
    """The folder that holds all of them, the data files with their names below it, and notes of what is left out."""
    located: list[DataFile] = []
    notes = []
    for path in paths:
        _check_not_movielens(path)
        if path.endswith(".zip"):
            raise SourceError(
                f"{path} is an archive; expected what is in it.",
                "Unpack it and inspect the folder; `ingest.path` may name the archive itself then.",
            )
        whole = path if is_url(path) else str(Path(path).expanduser().absolute())
        try:
            located += find_files("", whole)
        except SourceError as error:
            if len(paths) == 1:
                raise
            notes.append(f"{path} is left out: {error.problem}")
    files = [file for file in located if len(paths) == 1 or file.format]
    notes += [f"{file.name} is left out: it does not end like a data file." for file in located if file not in files]
    if not files:
        raise SourceError(f"None of {', '.join(paths)} is a data file.", "Name CSV, TSV, JSON lines or Parquet files.")
    folder = _common_folder([file.path for file in files])
    root = files[0].fs.unstrip_protocol(folder) if is_url(paths[0]) else folder
    return root, [DataFile(file.fs, file.path, file.path.removeprefix(folder).lstrip("/")) for file in files], notes


def _check_not_movielens(path: str) -> None:
    """Raise SourceError for MovieLens, which needs no mapping; for a folder of CSV files one can be proposed, too."""
    layout = None if is_url(path) else layout_name(Path(path).expanduser())
    if layout and (layout != CSV_LAYOUT or path.endswith(".zip")):
        raise SourceError(
            f"{path} is MovieLens as it is published ({layout}); it needs no mapping.",
            f"Set ingest.source to `movielens`, ingest.name to null and ingest.path to {path} in params.yaml.",
        )


def _common_folder(paths: Sequence[str]) -> str:
    folders = [PurePosixPath(path).parent.parts for path in paths]
    # A hive-style folder (`day=2024-01-31`) is part of the data.
    shared = [level[0] for level in zip(*folders, strict=False) if len(set(level)) == 1]
    while shared and "=" in shared[-1]:
        shared.pop()
    return str(PurePosixPath(*shared)) if shared else ""


def _look(files: Sequence[DataFile]) -> tuple[list[FirstLook], list[Problem]]:
    looks, problems = [], []
    for file in files:
        try:
            looks.append(look_at(file))
        except SourceError as error:
            problems.append(_of_error(error))
    return looks, problems


def _other_sheets(looks: Sequence[FirstLook]) -> Iterator[str]:
    """What was not looked at of Excel files."""
    for look in looks:
        first, *others = look.sheets or ("",)
        if others:
            yield (
                f"{look.file.name}: of its sheets only the first, {first}, was looked at; not {', '.join(others)}. To "
                f"map another one, name it beside the path (`sheet: {others[0]}`); `interactions` may be a list of "
                "mappings."
            )


def _of_error(error: SourceError) -> Problem:
    return Problem(None, None, None, error.problem, error.next_step, stops=True)


def _no_interactions(groups: Sequence[FileGroup]) -> Problem:
    """Nothing to build from. It names, of the file that comes nearest, what is there and what is missing."""
    said = {group.names[0]: said_of_events(group.samples) for group in groups}
    nearest = max(said, key=lambda name: len(said[name]))
    there = ", ".join(f"{NEEDED_WORDS[role]} ({column})" for role, column in said[nearest].items())
    missing = [words for role, words in NEEDED_WORDS.items() if role not in said[nearest]]
    columns = "; ".join(f"{group.names[0]}: {', '.join(group.samples)}" for group in groups)
    advice = "Where a column is that all the same, write the mapping by hand: docs/sources.md has an example."
    if "event_ts" not in said[nearest]:
        advice += (
            " Where none is a time: export it, or name each file by its day and set `event_ts: file_name`, or set "
            "`event_ts` to one moment for all rows, which serves but cannot be judged."
        )
    return Problem(
        nearest,
        None,
        None,
        f"No file was recognised as interactions: a person, an item and a time in each row. This one names "
        f"{there or 'none of them'}; missing: {', '.join(missing) or 'a name that says so'}. "
        f"Found {columns}.",
        advice,
        stops=True,
    )


def _check_proposal(
    inspection: Inspection,
    proposal: Proposal,
    rules: ValidateSettings,
    now: datetime,
    begin: Callable[[str], None],
) -> None:
    """Run the ingest and the validation with the proposed mapping, and note what they find."""
    with tempfile.TemporaryDirectory(prefix="slatework-") as name:
        folder = Path(name)
        begin("reading every row by the mapping")
        try:
            inspection.report = write_tables(proposal.settings, inspection.root, folder)
        except SourceError as error:
            # A file that could not be looked at is noted already, and would be noted again.
            inspection.problems = [replace(problem, stops=True) for problem in inspection.problems] or [
                _of_error(error)
            ]
            return
        tables = CanonicalTables.load(folder)
        inspection.values = _value_bounds(tables.interactions)
        inspection.preset = fitting_preset(tables.interactions)
        inspection.problems += _refused(folder)
        if len(tables.interactions) > MAX_CHECKED:
            inspection.notes.append(f"The rules were checked on the first {MAX_CHECKED:,} interactions.")
            first = (tables.interactions.head(MAX_CHECKED), tables.items, tables.users)
            tables = CanonicalTables(*first, tables.impressions.head(MAX_CHECKED))
        begin("checking the rules of validation")
        problems, failures = _broken_rules(tables, _with_values(rules, inspection.values), folder, now)
        inspection.problems += problems
        inspection.bounds, stopping = needed_bounds(failures)
        columns_of = proposal.settings.interactions[0].columns.model_dump()
        inspection.problems += [_stopping(failure, columns_of) for failure in stopping]
        doubled = [_doubled(one) for one in doubled_files(folder)]
        if doubled:
            inspection.problems += doubled
            inspection.bounds = {name: one for name, one in inspection.bounds.items() if name not in OF_REPEATS}


def _doubled(one: DoubledFile) -> Problem:
    return Problem(
        one.file,
        None,
        None,
        f"each of its {one.n_rows:,} rows stands in {printable_line(one.other)}, too, which has {one.n_other:,}",
        "Remove one of the two files, and inspect the others again; no bound is raised for what is there twice.",
        stops=True,
    )


def _stopping(failure: Failure, columns_of: Mapping[str, str | None]) -> Problem:
    """A broken rule that no bound should wave through. columns_of: our columns of the interactions -> the export's."""
    columns = ", ".join(columns_of.get(column) or column for column in failure.columns)
    return Problem(failure.file, None, columns or None, str(failure), STOPS, stops=True)


def _value_bounds(interactions: pl.DataFrame) -> tuple[float, float] | None:
    """The range of ratings as it is; of prices and durations up to ten times the largest, for later ones."""
    values, types = interactions["value"].drop_nulls(), interactions["event_type"].unique()
    if values.is_empty():
        return None
    least, most = float(values.min()), float(values.max())  # type: ignore[arg-type]  # numbers, as the schema says
    if EventType.RATING in types and most <= RATED_AT_MOST and values.n_unique() <= N_RATINGS:
        return max(least, 0.0), max(most, 0.0)
    return 0.0, max(float(f"{10 * most:.1g}"), 0.0)


def _with_values(rules: ValidateSettings, values: tuple[float, float] | None) -> ValidateSettings:
    least, most = values or (rules.min_value, rules.max_value)
    return rules.model_copy(update={"min_value": least, "max_value": most})


def _refused(folder: Path) -> Iterator[Problem]:
    rows = load_refusals(folder)
    for (column, reason), group in rows.group_by("column", "reason", maintain_order=True):
        first, by_file = _worst_first(group)
        yield Problem(
            first["file"],
            first["row"],
            None if column is None else str(column),
            f"found {first['found']!r}; {reason}",
            "The rows go to quarantine: mend them, or the mapping if they are right.",
            len(group),
            by_file,
        )


def _worst_first(rows: pl.DataFrame) -> tuple[dict[str, Any], dict[str, int]]:
    """The first row of the file that has most of these rows, and how many each file has."""
    counts = rows["file"].value_counts().sort("count", "file", descending=[True, False])
    worst = rows.filter(pl.col("file").eq_missing(counts["file"][0]))
    return worst.row(0, named=True), dict(counts.drop_nulls().iter_rows())


def _broken_rules(
    tables: CanonicalTables, rules: ValidateSettings, folder: Path, now: datetime
) -> tuple[list[Problem], tuple[Failure, ...]]:
    """The rules that single rows break, and those that break with the table as a whole."""
    from sources.validation.table_check import RowFolders  # noqa: PLC0415 - Great Expectations takes seconds to import
    from sources.validation.validation import check_tables  # noqa: PLC0415

    folders = RowFolders(folder / "valid", folder / "quarantine")
    for empty in (folders.valid, folders.quarantine):
        empty.mkdir()
    rows = {name: getattr(tables, name).lazy() for name in SCHEMAS}
    # Rows that could not be read count against the bounds, as they will in the stage.
    refused = load_refusals(folder) if len(tables.interactions) < MAX_CHECKED else none_refused()
    validation = check_tables(
        rows, rules, folders, baseline=Baseline(), now=now, origins=Origins(folder), refused=refused
    )
    return list(_broken_by_rows(validation)), validation.failures


def _broken_by_rows(validation: Validation) -> Iterator[Problem]:
    from sources.validation.failures import REASON  # noqa: PLC0415 - as above
    from sources.validation.table_check import UNREADABLE  # noqa: PLC0415

    for name, quarantined in validation.quarantine.items():
        # A rule of one name says something else of each table.
        says = {result.rule.name: result.rule.says for run in validation.tables[name].runs for result in run.results}
        for (reason,), group in quarantined.group_by(REASON, maintain_order=True):
            if reason == UNREADABLE:
                continue  # told with its column already
            first, by_file = _worst_first(group)
            broken = str(reason).split(", ")
            yield Problem(
                first["file"],
                first["row"],
                None,
                f"{name} break {reason}: {as_line({column: first[column] for column in SCHEMAS[name]})}",
                f"Expected that {'; '.join(says[rule] for rule in broken)}. Such rows go to quarantine.",
                len(group),
                by_file,
            )
