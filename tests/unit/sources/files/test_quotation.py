"""A quotation mark left open never swallows rows in silence."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contracts.errors import SourceError
from sources.files.export_reader import write_tables
from tests.unit.sources.exports import files, write

HEAD = "who,what,did,at,paid,note"
LINES = [f"u{row},i{row % 7},seen,{1_700_000_000 + row},,fine" for row in range(40)]


def n_read(folder: Path, out: Path, **said: object) -> int:
    write_tables(files(**said), str(folder), out)
    return len(pl.read_parquet(out / "interactions.parquet"))


def export(tmp_path: Path, changes: dict[int, str]) -> Path:
    """The lines with some of them changed, by their row in the file."""
    lines = [HEAD, *LINES]
    for row, line in changes.items():
        lines[row - 1] = line
    return write(tmp_path / "in", {"e.csv": "\n".join(lines) + "\n"})


@pytest.mark.parametrize("line", ['u9,i2,seen,1700000009,,"5 inch pan', 'u9,"i2,seen,1700000009,,fine'])
def test_a_mark_left_open_to_the_end_is_told_with_its_row(tmp_path: Path, out: Path, line: str) -> None:
    with pytest.raises(SourceError, match=r"e\.csv, row 11: a quotation mark is left open") as caught:
        n_read(export(tmp_path, {11: line}), out)
    assert "`quoted: false`" in str(caught.value)


def test_two_marks_that_hide_rows_between_them_are_told_too(tmp_path: Path, out: Path) -> None:
    lines = {11: 'u9,i2,seen,1700000009,,"5 inch pan', 20: 'u18,i4,seen,1700000018,,6" pan'}
    with pytest.raises(SourceError, match=r"row 11: .* 8 lines that look like rows stand before the next one"):
        n_read(export(tmp_path, lines), out)


def test_where_marks_are_ordinary_text_every_row_is_read(tmp_path: Path, out: Path) -> None:
    assert n_read(export(tmp_path, {11: 'u9,i2,seen,1700000009,,"5 inch pan'}), out, quoted=False) == 40


def test_texts_of_many_lines_are_texts(tmp_path: Path, out: Path) -> None:
    text = '"first, line\nsecond ""line"", of it\n\nfourth, line, with, many, commas, in it\nfifth"'
    assert n_read(export(tmp_path, {11: f"u9,i2,seen,1700000009,,{text}"}), out) == 40


def test_a_mark_within_a_cell_is_part_of_it(tmp_path: Path, out: Path) -> None:
    assert n_read(export(tmp_path, {11: 'u9,i2,seen,1700000009,,5" pan'}), out) == 40
