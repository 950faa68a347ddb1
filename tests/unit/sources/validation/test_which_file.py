"""What stops a run names the file that did it first, with numbers that fit each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.data.quarantine import _file_lines
from contracts.errors import ValidationFailed
from contracts.settings.settings import load_settings
from contracts.settings.validate import ValidateSettings
from sources.canonical.origins import Origins
from sources.canonical.refusals import load_refusals
from sources.files.export_reader import write_tables
from sources.inspection.inspection import Inspection, inspect_files
from sources.validation.baseline import Baseline
from sources.validation.table_check import RowFolders
from sources.validation.validation import Validation, check_tables, scan_tables
from tests.unit.sources.exports import as_csv, files, write

RULES = load_settings(Path(__file__).resolve().parents[4] / "params.yaml").validate_.model_copy(
    update={"min_value": 0.0, "max_value": 1000.0, "min_interactions": 1}
)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
DAY, N_ROWS = 86_400, 300

Row = tuple[str, str, str, int | str, float | None]


def rows_of_day(day: int, n_rows: int = N_ROWS) -> list[Row]:
    start = 1_700_000_000 + day * DAY
    return [(f"u{at % 41}", f"i{at % 23}", "seen", start + at, None) for at in range(n_rows)]


def validated(
    folder: Path, contents: dict[str, Sequence[Row]], rules: ValidateSettings = RULES, n_before: int = 0
) -> Validation:
    """What the rules say of an export of these files."""
    root = write(folder / "in", {name: as_csv(rows) for name, rows in contents.items()})
    raw = folder / "raw"
    raw.mkdir()
    write_tables(files(), str(root), raw)
    folders = RowFolders(folder / "valid", folder / "quarantine")
    for empty in (folders.valid, folders.quarantine):
        empty.mkdir()
    baseline = Baseline({"interactions": n_before} if n_before else {})
    return check_tables(
        scan_tables(raw), rules, folders, baseline=baseline, now=NOW, origins=Origins(raw), refused=load_refusals(raw)
    )


def message_of(validation: Validation, rule: str) -> list[str]:
    """The lines with which a rule stops the run."""
    return next(str(failure) for failure in validation.failures if failure.rule == rule).split("\n")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    """Five days: of the second some rows are broken, of the fourth one was copied under another name."""
    broken: list[Row] = [
        (user, item, "???" if at < 40 else did, "soon" if 40 <= at < 50 else moment, paid)
        for at, (user, item, did, moment, paid) in enumerate(rows_of_day(2))
    ]
    one_broken: list[Row] = [(*rows_of_day(1)[0][:2], "???", *rows_of_day(1)[0][3:]), *rows_of_day(1)[1:]]
    contents = {"d1.csv": one_broken, "d2.csv": broken, "d3.csv": rows_of_day(3), "d4.csv": rows_of_day(4)}
    return validated(tmp_path_factory.mktemp("spoilt"), {**contents, "d5.csv": rows_of_day(4)[:100]})


def test_too_many_bad_rows_name_the_file_that_has_most_of_them(spoilt: Validation) -> None:
    head, *lines = message_of(spoilt, "quarantine_share")
    assert "found 0.1162 (151 of 1,300 rows)" in head
    assert lines[:3] == [
        "  d5.csv: 100 of its 100 rows",
        "  d2.csv: 50 of its 300 rows",
        "  d1.csv: 1 of its 300 rows",
    ]
    assert all('"file": "d5.csv"' in line for line in lines[3:])


def test_repeats_are_blamed_on_the_file_that_repeats_and_name_what_it_repeats(spoilt: Validation) -> None:
    head, *lines = message_of(spoilt, "duplicate_share")
    assert "(100 of 1,290 rows)" in head
    assert lines[0] == "  d5.csv: 100 of its 100 rows, of which 100 repeat rows of d4.csv"
    assert [re.findall(r'"file": "(.*?)"', line) for line in lines[1:]] == [["d5.csv"]] * 3


def test_the_counts_of_the_reasons_add_up_to_the_rows_in_quarantine(spoilt: Validation) -> None:
    with pytest.raises(ValidationFailed) as caught:
        spoilt.raise_failures()
    assert "151 rows are in quarantine: not_repeated 100; event_type_is_known 41; readable 10." in str(caught.value)


def test_every_file_is_counted_the_worst_first(spoilt: Validation) -> None:
    assert list(spoilt.files["interactions"].items()) == [
        ("d5.csv", {"rows": 100, "quarantined": 100, "repeated": 100}),
        ("d2.csv", {"rows": 300, "quarantined": 50, "repeated": 0}),
        ("d1.csv", {"rows": 300, "quarantined": 1, "repeated": 0}),
        ("d3.csv", {"rows": 300, "quarantined": 0, "repeated": 0}),
        ("d4.csv", {"rows": 300, "quarantined": 0, "repeated": 0}),
    ]
    assert "d5.csv" not in str(spoilt.result["tables"])


@pytest.mark.parametrize(
    ("n_before", "said"),
    [
        (3000, "3 files, of 300 rows in the middle; the fewest rows have d2.csv 7, d1.csv 300, d3.csv 300"),
        (100, "3 files, of 300 rows in the middle; the most rows have d1.csv 300, d3.csv 300, d2.csv 7"),
    ],
)
def test_a_volume_that_is_not_as_it_was_names_the_files_that_stand_out(
    tmp_path: Path, n_before: int, said: str
) -> None:
    contents = {f"d{day}.csv": rows_of_day(day, 7 if day == 2 else N_ROWS) for day in (1, 2, 3)}
    head, *lines = message_of(validated(tmp_path, contents, n_before=n_before), "volume_against_baseline")
    assert head.endswith("; found 607.")
    assert lines == [f"  {said}"]


def test_too_few_valid_rows_are_counted_as_they_are(tmp_path: Path) -> None:
    rules = RULES.model_copy(update={"min_interactions": 10, "max_quarantine_share": 1.0, "max_user_share": 1.0})
    broken: list[Row] = [(user, item, "???", moment, paid) for user, item, _, moment, paid in rows_of_day(2, 5)]
    validation = validated(tmp_path, {"d1.csv": rows_of_day(1, 7), "d2.csv": broken}, rules)
    head, *lines = message_of(validation, "enough_rows")
    assert "at least 10 valid rows are left; found 7 (7 of 12 rows)." in head
    assert lines == ["  2 files, of 7 rows in the middle; the fewest rows have d2.csv 0, d1.csv 7"]


def test_rows_without_a_person_are_nobodys_and_repeat_nothing(tmp_path: Path) -> None:
    """A quarter of the rows, all of one item and moment: neither one person nor one event."""
    nameless: list[Row] = [("", "i1", "seen", 1_700_000_000, None)] * N_ROWS
    contents = {"d1.csv": nameless, **{f"d{day}.csv": rows_of_day(day) for day in (2, 3, 4)}}
    validation = validated(tmp_path, contents)
    assert {failure.rule for failure in validation.failures} == {"quarantine_share"}
    assert set(validation.quarantine["interactions"]["reason"]) == {"user_id_present"}


def test_the_busiest_person_is_counted_alone_and_by_file(tmp_path: Path) -> None:
    """Of 900 rows 300 are one person's and 290 another's: the share and the rows are those of the first."""
    bots = [("bot", *row[1:]) for row in rows_of_day(2)]
    others = [("other" if at < 290 else row[0], *row[1:]) for at, row in enumerate(rows_of_day(3))]
    validation = validated(tmp_path, {"d1.csv": rows_of_day(1), "d2.csv": bots, "d3.csv": others})
    head, *lines = message_of(validation, "user_share")
    assert "found 0.3333 (300 of 900 rows)" in head
    assert lines[0] == "  d2.csv: 300 of its 300 rows"
    assert all('"user_id": "bot"' in line for line in lines[1:])


def inspected(folder: Path, contents: dict[str, Sequence[Row]]) -> Inspection:
    write(folder, {name: as_csv(rows) for name, rows in contents.items()})
    return inspect_files([str(folder)], RULES, NOW)


def test_inspect_explains_a_repeat_in_the_words_of_its_table_and_counts_it_by_file(tmp_path: Path) -> None:
    """Words of the export that are ours, so that the proposal needs no mapping of them."""
    contents = {f"d{day}.csv": [(*row[:2], "view", *row[3:]) for row in rows_of_day(day)] for day in (1, 2, 3)}
    repeats = {"d2.csv": [*contents["d2.csv"], contents["d2.csv"][0]], "d4.csv": contents["d3.csv"]}
    found = inspected(tmp_path / "in", {**contents, **repeats})
    repeated = next(one for one in found.problems if "not_repeated" in one.found)
    assert (repeated.file, repeated.count, repeated.by_file) == ("d4.csv", 301, {"d4.csv": 300, "d2.csv": 1})
    assert (
        "an interaction (user, item, type and time; of whole days: every cell of its row) occurs once"
        in repeated.next_step
    )
    assert "(301 rows: 300 in d4.csv, 1 in d2.csv)" in str(repeated)


def test_a_day_with_two_columns_swapped_is_told_with_its_file_and_its_columns(tmp_path: Path) -> None:
    """Headers are right, the cells are not; the items are made of the events, so no id is unknown."""
    contents = {f"d{day}.csv": [(*row[:2], "view", *row[3:]) for row in rows_of_day(day)] for day in (1, 2, 3, 4)}
    contents["d3.csv"] = [(item, user, *rest) for user, item, *rest in contents["d3.csv"]]
    text = {name: as_csv(rows).replace("who,what,did", "customer,article,event") for name, rows in contents.items()}
    found = inspect_files([str(write(tmp_path / "in", text))], RULES, NOW)
    problem = next(one for one in found.problems if "columns_in_place" in one.found)
    assert (problem.file, problem.column) == ("d3.csv", "customer, article")
    assert "d3.csv: user_id and item_id look swapped" in problem.found
    assert "of its user_id, 100% are item_id in the other files and 0% user_id" in problem.found
    assert "(300 of 1,200 rows)" in problem.found


def test_the_quarantine_is_shown_by_file_where_there_are_several() -> None:
    counts = {f"d{day}.csv": {"rows": 300, "quarantined": 50 - day, "repeated": day % 2} for day in range(12)}
    lines = list(_file_lines(counts))
    assert lines[:2] == [
        "       50  of 300 rows of d0.csv",
        "       49  of 300 rows of d1.csv, 1 of them repeat earlier rows",
    ]
    assert lines[-1] == f"{40 + 39:>9,}  of 2 more files: `--json` lists all"
    assert list(_file_lines({"e.csv": counts["d1.csv"]})) == []
