"""Text tables: CSV and TSV; and the parser of lines that JSON lines go through, too."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv

from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.files.data_files import DataFile
from sources.files.encodings import SNIFFED_BYTES, first_bytes
from sources.files.formats.row_batch import Ragged, RawRows, RowNumbers, check_columns
from sources.files.quotation import CountedStream, check_quotation
from sources.files.read_ahead import ReadAhead
from sources.files.whole_days import with_fingerprints

BLOCK_BYTES = 16 << 20  # of text parsed at once; also the longest row


def separator_of(file: DataFile, settings: TableFiles) -> str:
    """The separator between the fields of a text table."""
    return settings.separator or ("\t" if (settings.format or file.format) == "tsv" else ",")


def read_header(file: DataFile, settings: TableFiles) -> list[str]:
    """The column names in the first row of a text table."""
    encoding = "utf-8-sig" if settings.encoding == "utf-8" else settings.encoding
    with file.open() as stream, io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
        try:
            quotechar = '"' if settings.quoted else None
            names = next(csv.reader(text, delimiter=separator_of(file, settings), quotechar=quotechar), None)
        except UnicodeError as error:
            raise _wrong_encoding(file, settings.encoding) from error
        except csv.Error as error:
            raise SourceError(f"{file.name}, row 1 is no row of column names: {error}.", "Look at the file.") from error
    if names is None:
        raise SourceError(f"{file.name} is empty.", "Export it again, or take it away if nothing happened then.")
    if not names:
        raise SourceError(f"{file.name}, row 1 is blank; expected the column names.", "Take the blank line away.")
    return names


def delimited_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The columns of a text table, batch by batch; rows with more or fewer fields are set aside."""
    separator = separator_of(file, settings)
    names = read_header(file, settings)
    check_columns(file.name, names, columns, separator)
    # Names of unwanted columns may be empty or repeat; the parser needs them to differ.
    unique = [name if name in columns else f"{position} {name}" for position, name in enumerate(names)]
    quote = '"' if settings.quoted else False
    parse = pyarrow.csv.ParseOptions(
        delimiter=separator, quote_char=quote, newlines_in_values=settings.quoted, ignore_empty_lines=False
    )
    n_rows, is_long = 1, False
    with file.open() as stream:
        counted = CountedStream(stream)
        for batch in parsed_blocks(file, counted, parse, unique, settings.encoding, first_row=2):
            n_rows, is_long = max(n_rows, batch.last_row), batch.last_is_long
            yield replace(batch, table=with_fingerprints(batch.table.select(columns), batch.table, settings))
        if not is_long:
            yield from unended(counted, columns, n_rows)
    if settings.quoted and counted.may_hide_rows(n_rows):
        with file.open() as stream:
            check_quotation(stream, file.name, settings.encoding, separator)


def unended(stream: CountedStream, columns: Sequence[str], n_rows: int) -> Iterator[RawRows]:
    """A last batch, without rows, that says of a file that it ends within a line."""
    if not stream.ends_a_line:
        no_rows = pl.Series("row", [], dtype=pl.Int64)
        yield RawRows(no_rows, pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), unended=n_rows)


def parsed_blocks(
    file: DataFile,
    stream: Any,
    parse: pyarrow.csv.ParseOptions,
    names: list[str],
    encoding: str,
    first_row: int,
) -> Iterator[RawRows]:
    """All columns of a text table as text, without rows that are blank in every column."""
    ragged: list[Ragged] = []

    def set_aside(row: Any) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns, row.text))
        return "skip"

    parse.invalid_row_handler = set_aside
    numbers = RowNumbers(first_row)
    ahead = ReadAhead(stream)
    with _parser_errors(file, encoding, ahead):
        for table in _text_blocks(ahead, parse, names, encoding, first_row):
            rows = numbers.take(len(table), [row for row, *_ in ragged])
            filled = table.select(pl.any_horizontal(pl.all() != "")).to_series()
            rows_aside, ragged[:] = ragged[:], []
            kept = table if filled.all() else table.filter(filled)
            yield RawRows(rows.filter(filled), kept, [row for row in rows_aside if row[3].strip()])
        ahead.check()
        if ragged:
            no_rows = pl.Series("row", [], dtype=pl.Int64)
            yield RawRows(no_rows, pl.DataFrame(schema=dict.fromkeys(names, pl.String)), ragged)


def _text_blocks(
    ahead: ReadAhead, parse: pyarrow.csv.ParseOptions, names: list[str], encoding: str, first_row: int
) -> Iterator[pl.DataFrame]:
    """The parsed blocks, every column as text; none where the file ends before its first row."""
    read = pyarrow.csv.ReadOptions(
        column_names=names,
        skip_rows=first_row - 1,
        use_threads=False,  # with threads, ragged rows come without their number
        block_size=BLOCK_BYTES,
        encoding=encoding,
    )
    convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    try:
        reader = pyarrow.csv.open_csv(
            ahead.parser_stream(), read_options=read, parse_options=parse, convert_options=convert
        )
    except pa.ArrowInvalid as error:
        # The second message is that of a file that ends after its column names.
        if "Empty CSV file" not in str(error) and "Could not skip initial" not in str(error):
            raise
        return
    for block in reader:
        yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([block])))


@contextmanager
def _parser_errors(file: DataFile, encoding: str, ahead: ReadAhead) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise _wrong_encoding(file, encoding) from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise _wrong_encoding(file, encoding) from error
        raise SourceError(
            f"{file.name} cannot be read as a table: {error}.",
            f"A quotation mark may be left open, or a row is longer than {BLOCK_BYTES:,} bytes. Mend it there.",
        ) from error
    finally:
        ahead.end()


def _wrong_encoding(file: DataFile, encoding: str) -> SourceError:
    row, content = _first_undecodable(file, encoding)
    with file.open() as stream:
        said = first_bytes(stream.read(SNIFFED_BYTES))
    if said is not None and said.encoding != encoding:
        return SourceError(
            f"{file.name}, row {row}: {content!r} is not {encoding}; the file begins with {said.words}.",
            f"Set `encoding` beside its path to {said.encoding}; if the others are {encoding}, write this one so too.",
        )
    return SourceError(
        f"{file.name}, row {row}: {content!r} is not {encoding}.",
        "Set `encoding` beside its path to what it is, such as cp1252 or latin-1; `slate inspect` guesses it.",
    )


def _first_undecodable(file: DataFile, encoding: str) -> tuple[int, bytes]:
    with file.open() as stream:
        for row, line in enumerate(stream, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return row, line[max(error.start - 20, 0) : error.end + 20]
    return 1, b"the first bytes"
