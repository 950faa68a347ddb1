"""Text tables are read whole, and what does not fit is named by file, line and column."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contracts.errors import SourceError
from sources.movielens.delimited import CellType, Column, Dialect, read_delimited

COLUMNS = {
    "userId": Column("user_id"),
    "rating": Column("value", CellType.NUMBER),
    "age": Column("age", CellType.WHOLE, optional=True),
}
CSV = Dialect(quote='"')


def read(folder: Path, text: str | bytes, dialect: Dialect = CSV) -> pl.DataFrame:
    path = folder / "ratings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_delimited(path, COLUMNS, dialect)


def test_columns_are_found_by_name_renamed_and_typed(tmp_path: Path) -> None:
    table = read(tmp_path, "rating,extra,age,userId\n4.5,x,30,007\n3,y,,8\n")
    assert table.rows() == [("007", 4.5, 30), ("8", 3.0, None)]
    assert table.schema == {"user_id": pl.String, "value": pl.Float64, "age": pl.Int64}


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    assert len(read(tmp_path, "userId,rating,age\n\n1,4,\n\n2,5,\n\n")) == 2


def test_a_table_may_have_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "userId,rating,age\n").shape == (0, 3)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    table = read(tmp_path, b"\xef\xbb\xbfuserId,rating,age\r\n1,4,30\r\n")
    assert table.rows() == [("1", 4.0, 30)]


def test_types_behind_a_colon_in_the_first_line_are_dropped(tmp_path: Path) -> None:
    table = read(tmp_path, "userId:token\trating:float\tage:token\n1\t4\t30\n", Dialect(separator="\t"))
    assert table.rows() == [("1", 4.0, 30)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("userId,rating,age\n1,4,30\n2,good,31\n", "line 3, column rating: found 'good'; expected a number"),
        ("userId,rating,age\n1,good,30\n2,bad,31\n3,4,32\n", "line 2, column rating: found 'good'.* 1 more line"),
        ("userId,rating,age\n\n1,4,30\n\n2,good,31\n", "line 5, column rating: found 'good'"),
        ("userId,rating,age\n1,4,thirty\n", "line 2, column age: found 'thirty'; expected a whole number"),
        ("userId,rating,age\n1,4,30\n2\n", "line 3, column rating: found nothing; expected a number"),
        ("userId,rating,age\n,4,30\n", "line 2, column userId: found nothing; expected text"),
        ("userId,rating,age\n1,4,30\n1,4,30,40\n", "line 3: found 4 fields; expected 3"),
        ("userId,age\n1,30\n", "line 1: column rating is missing; found userId, age"),
        ("", "column userId, rating, age is missing; found an empty file"),
        ("userId,rating,age,age\n", "a column is named twice"),
        (b"userId,rating,age\n\xff\xfe,4,30\n", "UTF-8"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(SourceError, match=complaint) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "ratings.csv") in caught.value.problem


def test_the_line_is_right_where_the_columns_are_named_by_the_dialect(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 2, column rating"):
        read(tmp_path, "1::4::30\n2::x::30\n", Dialect("::", names=("userId", "rating", "age")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv is missing"):
        read_delimited(tmp_path / "gone.csv", COLUMNS, CSV)


def test_older_files_may_be_latin_1(tmp_path: Path) -> None:
    dialect = Dialect("::", names=("userId", "rating", "age"), encoding="any")
    assert read(tmp_path, "Misérables::4::1\n".encode("latin-1"), dialect)["user_id"].to_list() == ["Misérables"]
    assert read(tmp_path, "Misérables::4::1\n".encode(), dialect)["user_id"].to_list() == ["Misérables"]


def test_a_short_first_line_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 1: found 2 fields; expected 3"):
        read(tmp_path, "1,4\n2,5,30\n", Dialect(names=("userId", "rating", "age")))
