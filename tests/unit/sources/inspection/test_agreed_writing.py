"""Of many files of one table, one that is written otherwise is named, and the mapping reads the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.settings.settings import load_settings
from sources.files.data_files import find_files
from sources.inspection.file_groups import group_files
from sources.inspection.first_look import look_at
from sources.inspection.inspection import Problem, inspect_files
from sources.inspection.proposal import propose
from tests.unit.sources.exports import write

RULES = load_settings(Path(__file__).resolve().parents[4] / "params.yaml").validate_
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int, price: str = "9.{}0", moment: str = "2011-01-{:02}T08:{:02}:00Z", separator: str = ";") -> str:
    """A day's file: forty purchases at prices and times written like this."""
    rows = [
        (f"u{at % 7}", f"p{at % 5}", "purchase", moment.format(number, at), price.format(at % 10)) for at in range(40)
    ]
    return "\n".join(separator.join(row) for row in [("user_id", "item_id", "event", "ts", "price"), *rows]) + "\n"


def mapping(folder: Path, contents: Mapping[str, str | bytes]) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The mapping of the interactions that is proposed for these files, and its comments."""
    files = find_files(str(write(folder, contents)), ".")
    found = propose(group_files([look_at(file) for file in files]), str(folder))
    assert found is not None
    tables = found.files["interactions"]
    return (tables[0] if isinstance(tables, list) else tables), found.comments


def problems(folder: Path, contents: Mapping[str, str | bytes]) -> list[Problem]:
    return inspect_files([str(write(folder, contents))], RULES, NOW).problems


@pytest.mark.parametrize("odd", [0, 3])
@pytest.mark.parametrize(
    ("usual", "other", "decimal"), [("9.{}0", "9,{}0", None), ("9,{}0", "9.{}0", ","), ("1.249,{}0", "9.{}0", ",")]
)
def test_a_decimal_sign_of_one_file_is_not_proposed_for_the_others(
    tmp_path: Path, odd: int, usual: str, other: str, decimal: str | None
) -> None:
    contents = {f"d{number}.csv": day(number + 1, other if number == odd else usual) for number in range(5)}
    proposed, _ = mapping(tmp_path / "in", contents)
    assert proposed.get("decimal") == decimal
    (problem,) = problems(tmp_path / "again", contents)
    assert (problem.file, problem.column) == (f"d{odd}.csv", "price")
    assert problem.found == f"it is written like {other.format(0)}, where most files are like {usual.format(0)}"


def test_whole_numbers_fit_either_decimal_sign(tmp_path: Path) -> None:
    contents = {f"d{number}.csv": day(number + 1, "9,{}0" if number == 4 else "{}") for number in range(5)}
    assert mapping(tmp_path / "in", contents)[0]["decimal"] == ","


def test_days_of_many_files_say_together_what_is_day_and_what_is_month(tmp_path: Path) -> None:
    """One file a day: of the second of January alone nothing can be told."""
    american = {f"d{number:02}.csv": day(number, moment="01/{:02}/2011 08:{:02}") for number in (2, 5, 9, 13)}
    proposed, comments = mapping(tmp_path / "in", american)
    assert proposed["time_format"] == "%m/%d/%Y %H:%M"
    assert "reads them all too" not in " ".join(comments.values())
    early = {f"d{number:02}.csv": day(number, moment="{:02}/01/2011 08:{:02}") for number in (1, 2, 12)}
    proposed, comments = mapping(tmp_path / "early", early)
    assert proposed["time_format"] == "%d/%m/%Y %H:%M"
    assert any("%m/%d/%Y %H:%M reads them all too: look at it" in comment for comment in comments.values())


def test_a_file_that_writes_its_times_otherwise_is_named(tmp_path: Path) -> None:
    contents = {f"d{number}.csv": day(number, moment="{:02}/01/2011 08:{:02}") for number in range(10, 15)}
    odd = {"d09.csv": day(9, moment="2011-01-{:02} 08:{:02}:00")}
    assert mapping(tmp_path / "in", {**contents, **odd})[0]["time_format"] == "%d/%m/%Y %H:%M"
    (problem,) = problems(tmp_path / "again", {**contents, **odd})
    assert (problem.file, problem.column) == ("d09.csv", "ts")
    assert problem.found == "it is written like 2011-01-09 08:00:00, where most files are like 10/01/2011 08:00"


@pytest.mark.parametrize(
    ("moment", "form"),
    [
        (lambda at: f"{at % 31 + 1:02}/01/2011 08:{at:02}", "%d/%m/%Y %H:%M"),
        (lambda at: f"31/01/2011 08:{at:02}", "%d/%m/%Y %H:%M"),
        (lambda at: f"{at % 12 + 1:02}/01/2011 08:{at:02}", "%d/%m/%Y %H:%M"),
        (lambda at: f"{at % 12 + 1}/1/2011 8:{at:02}", "%d/%m/%Y %H:%M"),
        (lambda at: f"12/{at % 28 + 1}/2010 8:{at:02}", "%m/%d/%Y %H:%M"),
        (lambda at: f"{at % 28 + 1:02}-01-2011 08:{at:02}", "%d-%m-%Y %H:%M"),
        (lambda at: f"{at % 28 + 1:02}/01/11 08:{at:02}", "%d/%m/%y %H:%M"),
        (lambda at: f"{at % 28 + 1:02}/01/2011 08:{at:02} PM", "%d/%m/%Y %I:%M %p"),
        (lambda at: f"2011/01/{at % 28 + 1:02} 08:{at:02}", "%Y/%m/%d %H:%M"),
        (lambda at: f"{at % 28 + 1:02} Jan 2011 08:{at:02}", "%d %b %Y %H:%M"),
    ],
)
def test_a_day_and_a_month_are_told_apart(tmp_path: Path, moment: Callable[[int], str], form: str) -> None:
    lines = [f"u{at % 7},p{at % 5},view,{moment(at)}" for at in range(60)]
    proposed, comments = mapping(tmp_path / "in", {"e.csv": "\n".join(["user_id,item_id,event,date", *lines, ""])})
    assert proposed["time_format"] == form
    ambiguous = all(int(moment(at).split("/")[0]) <= 12 for at in range(60)) if "%d/%m" in form else False
    said = " ".join(comments.values())
    assert ("%m/%d/%Y %H:%M reads them all too: look at it" in said) == ambiguous


def test_a_file_in_another_encoding_or_with_another_separator_is_named(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {f"d{number}.csv": day(number) for number in (1, 2, 3)}
    odd = {"d4.csv": day(4).encode("utf-16"), "d5.csv": day(5, separator="|")}
    named = {problem.file: problem for problem in problems(tmp_path / "in", {**contents, **odd})}
    assert set(named) == {"d4.csv", "d5.csv"}
    usual = "where the files with the same columns are csv separated by ';' in utf-8"
    assert named["d4.csv"].found == f"it is csv separated by ';' in utf-16, {usual}"
    assert named["d5.csv"].found == f"it is csv separated by '|' in utf-8, {usual}"
