"""Reads text tables (comma, tab, bar, double colon) as a whole; errors name file, line and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import polars as pl

from contracts.counted import counted
from contracts.errors import SourceError

_LINE = "line number"
GET_IT_AGAIN = "Get the file again from where it came; if it is your own, mend that line."


class CellType(Enum):
    """What a column holds, in words for people and as a type."""

    TEXT = ("text", pl.String())
    WHOLE = ("a whole number", pl.Int64())
    NUMBER = ("a number", pl.Float64())

    def __init__(self, words: str, dtype: pl.DataType) -> None:
        self.words = words
        self.dtype = dtype


@dataclass(frozen=True)
class Column:
    """One column to read. name: as it will be called; an optional one may be empty."""

    name: str
    type: CellType = CellType.TEXT
    optional: bool = False


@dataclass(frozen=True)
class Dialect:
    """How a text table is written. names: its columns in order, None where the first line says them.

    encoding `any` is for small files: UTF-8, else Latin-1, as the older GroupLens sets are.
    """

    separator: str = ","
    quote: str | None = None
    names: Sequence[str] | None = None
    encoding: str = "utf-8"


def read_delimited(path: Path, columns: Mapping[str, Column], dialect: Dialect) -> pl.DataFrame:
    """Read the columns asked for (source name -> what it becomes); empty lines are no rows.

    Raises SourceError when the file is missing, has other columns, or holds a cell that is not of its column's kind.
    """
    content = _content(path, dialect)
    names = list(dialect.names) if dialect.names else _header(path, content, dialect)
    _check_columns(path, names, columns)
    table = _read_text(path, content, names, dialect).filter(~pl.all_horizontal(pl.col(names).is_null()))
    typed = [
        pl.col(source).cast(column.type.dtype, strict=False).alias(column.name) for source, column in columns.items()
    ]
    result = table.select(typed)
    for source, column in columns.items():
        _check_cells(path, table, source, column, result)
    return result


def _content(path: Path, dialect: Dialect) -> Path | bytes:
    """The path where polars can read the file as it is, else its bytes, converted."""
    if not path.is_file():
        raise SourceError(
            f"{path} is missing.", f"Complete the folder {path.parent} from the archive it came from, and try again."
        )
    if dialect.encoding == "utf-8" and len(dialect.separator) == 1:
        return path
    content = path.read_bytes()
    if dialect.encoding == "any":
        content = _as_utf8(content)
    return content.replace(dialect.separator.encode(), _single(dialect).encode())


def _as_utf8(content: bytes) -> bytes:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1").encode("utf-8")
    return content


def _single(dialect: Dialect) -> str:
    """The separator as one character, which polars needs; no title holds a tab."""
    return dialect.separator if len(dialect.separator) == 1 else "\t"


def _rows(content: Path | bytes, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The last line and the fields of each row. Latin-1 takes any byte: this only finds headers and counts fields."""
    source = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
    with io.TextIOWrapper(source, encoding="latin-1", newline="") as lines:
        rows = csv.reader(
            lines,
            delimiter=_single(dialect),
            quotechar=dialect.quote,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )
        for row in rows:
            yield rows.line_num, row


def _header(path: Path, content: Path | bytes, dialect: Dialect) -> list[str]:
    # RecBole's atomic files say the type behind a colon: `user_id:token`.
    try:
        _, first = next(_rows(content, dialect), (0, []))
    except csv.Error as error:
        raise SourceError(f"{path}, line 1 is no line of column names: {error}.", GET_IT_AGAIN) from error
    names = [name.removeprefix("\u00ef\u00bb\u00bf").split(":")[0] for name in first]
    if len(set(names)) != len(names):
        raise SourceError(f"{path}, line 1: a column is named twice in {', '.join(names)}.", GET_IT_AGAIN)
    return names


def _check_columns(path: Path, names: Sequence[str], columns: Mapping[str, Column]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise SourceError(
            f"{path}, line 1: column {', '.join(missing)} is missing; found {', '.join(names) or 'an empty file'}.",
            f"Expected the columns {', '.join(columns)}. {GET_IT_AGAIN}",
        )


def _read_text(path: Path, content: Path | bytes, names: Sequence[str], dialect: Dialect) -> pl.DataFrame:
    try:
        table = pl.read_csv(
            content,
            separator=_single(dialect),
            quote_char=dialect.quote,
            # The line of names is read as a row: it tells polars how wide the table is, and line n is row n.
            has_header=False,
            schema=dict.fromkeys(names, pl.String()),
        )
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema={**dict.fromkeys(names, pl.String()), _LINE: pl.UInt32()})
    except pl.exceptions.PolarsError as error:
        raise SourceError(_where_it_breaks(path, content, len(names), dialect, error), GET_IT_AGAIN) from error
    return table.with_row_index(_LINE, offset=1).slice(0 if dialect.names else 1)


def _where_it_breaks(path: Path, content: Path | bytes, n_columns: int, dialect: Dialect, error: Exception) -> str:
    with suppress(csv.Error):
        for line, row in _rows(content, dialect):
            if row and len(row) != n_columns:
                return f"{path}, line {line}: found {len(row)} fields; expected {n_columns}."
    return f"{path} cannot be read as a table of {n_columns} columns in UTF-8: {error}"


def _check_cells(path: Path, table: pl.DataFrame, source: str, column: Column, result: pl.DataFrame) -> None:
    refused = result[column.name].is_null()
    if column.optional:
        refused &= table[source].is_not_null()
    if not refused.any():
        return
    row = table.row(refused.arg_max() or 0, named=True)
    cell = "nothing" if row[source] is None else repr(row[source])
    more = int(refused.sum()) - 1
    raise SourceError(
        f"{path}, line {row[_LINE]}, column {source}: found {cell}; expected {column.type.words}."
        + (f" {counted(more, 'more line is', 'more lines are')} wrong in this column." if more else ""),
        GET_IT_AGAIN,
    )
