"""The rows of one data file, as text and in batches: CSV, TSV, JSON lines, Parquet, Excel.

Rows are numbered as a spreadsheet shows them: from 1, the line of column names included. Memory stays flat.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from contracts.counted import counted
from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.canonical.origins import FINGERPRINT
from sources.files.data_files import DataFile
from sources.files.encodings import SNIFFED_BYTES, first_bytes
from sources.files.quotation import CountedStream, check_quotation
from sources.files.read_ahead import ReadAhead
from sources.files.whole_days import HEAD, with_fingerprints

BLOCK_BYTES = 16 << 20  # of text parsed at once; also the longest row
BATCH_ROWS = 400_000
SEPARATORS = (",", ";", "\t", "|")
LINE = "line"
UUID_BYTES = 16
NEVER = "\x01"  # never occurs in JSON, so that a line is one field
LONG_NUMBER = r"[:\[,]\s*-?\d{18,}"  # may not fit into 64 bits

Ragged = tuple[int, int, int, str]


@dataclass
class RawRows:
    """A batch. table: the wanted columns under their own names, cells as the file has them; rows: the number of each.
    Where the times of interactions are whole days, FINGERPRINT is one more column.

    ragged: (row, fields expected, fields found, text) of rows left out of the table; absent: columns that no row has.
    unended: the last row of the file, in the last batch of a file that ends within a line.
    """

    rows: pl.Series
    table: pl.DataFrame
    ragged: list[Ragged] = field(default_factory=list)
    absent: frozenset[str] = frozenset()
    unended: int | None = None

    @property
    def last_row(self) -> int:
        """The number of its last row; 0 where it has none."""
        rows: list[int] = [0, *self.rows.tail(1), *(row for row, *_ in self.ragged)]
        return max(rows)

    @property
    def last_is_long(self) -> bool:
        """Whether its last row has more fields than there are columns."""
        return any(n_found > n_expected for row, n_expected, n_found, _ in self.ragged if row == self.last_row)


def read_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The columns of a file, batch by batch; a column that the folders name (`day=2024-01-31`) counts as one of them.

    Raises SourceError naming file and row when it is empty, has other columns, another separator or encoding, is
    damaged, or has column names and nothing else.
    """
    kind = settings.format or file.format
    if kind is None:
        raise SourceError(
            f"{file.name} has no ending that names a format.",
            "Set `format` beside its path: csv, tsv, jsonl, parquet, excel.",
        )
    named = {name: value for name, value in file.partitions.items() if name in columns}
    inside = [name for name in columns if name not in named]
    readers = {"csv": _delimited, "tsv": _delimited, "jsonl": _json_lines, "parquet": _parquet, "excel": _excel}
    n_rows = 0
    for batch in readers[kind](file, settings, inside):
        n_rows += len(batch.rows) + len(batch.ragged)
        from_folders = [pl.lit(value).alias(name) for name, value in named.items()]
        yield replace(batch, table=batch.table.with_columns(from_folders))
    if not n_rows:
        raise SourceError(f"{file.name} holds no rows.", "Export it again, or take it away if nothing happened then.")


def columns_of(file: DataFile, settings: TableFiles) -> frozenset[str]:
    """The columns that a file has; of JSON lines none are known before they are read."""
    kind = settings.format or file.format
    named = frozenset(file.partitions)
    if kind in ("csv", "tsv"):
        return named | frozenset(read_header(file, settings))
    if kind == "parquet":
        with file.open() as stream, _parquet_errors(file):
            return named | frozenset(pyarrow.parquet.ParquetFile(stream).schema_arrow.names)
    if kind == "excel":
        return named | frozenset(_sheet(file, settings).columns)
    return named


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


def _delimited(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
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
        for batch in _parsed(file, counted, parse, unique, settings.encoding, first_row=2):
            n_rows, is_long = max(n_rows, batch.last_row), batch.last_is_long
            yield replace(batch, table=with_fingerprints(batch.table.select(columns), batch.table, settings))
        if not is_long:
            yield from _unended(counted, columns, n_rows)
    if settings.quoted and counted.may_hide_rows(n_rows):
        with file.open() as stream:
            check_quotation(stream, file.name, settings.encoding, separator)


def _json_lines(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    parse = pyarrow.csv.ParseOptions(delimiter=NEVER, quote_char=False, ignore_empty_lines=False)
    cells = {name: _json_cell(name) for name in columns}
    n_rows = 0
    with file.open() as stream:
        counted = CountedStream(stream)
        for position, batch in enumerate(_parsed(file, counted, parse, [LINE], settings.encoding, first_row=1)):
            table = _json_columns(batch.table[LINE], columns, cells)
            absent = frozenset(_absent(batch.table[LINE], table))
            if position == 0:
                _check_json(file.name, batch.table[LINE], table, absent & settings.required_columns)
            broken = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
            ragged = [
                (row, len(columns), 0, text)
                for row, text in zip(batch.rows.filter(broken), batch.table[LINE].filter(broken), strict=True)
            ]
            n_rows = max(n_rows, batch.last_row)
            told = with_fingerprints(table, batch.table, settings).filter(~broken)
            yield RawRows(batch.rows.filter(~broken), told, ragged, absent)
        yield from _unended(counted, columns, n_rows)


def _unended(stream: CountedStream, columns: Sequence[str], n_rows: int) -> Iterator[RawRows]:
    """A last batch, without rows, that says of a file that it ends within a line."""
    if not stream.ends_a_line:
        no_rows = pl.Series("row", [], dtype=pl.Int64)
        yield RawRows(no_rows, pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), unended=n_rows)


def _json_columns(lines: pl.Series, names: Sequence[str], cells: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The columns of JSON lines as texts, numbers with all of their digits."""
    if not lines.str.contains(LONG_NUMBER).any():
        return lines.to_frame().select(**cells)
    # Polars reads numbers beyond 64 bits as floats, and two ids become one.
    rows = [parsed_line(line) for line in lines]
    columns = {name: [_cell_of(row, name) for row in rows] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def parsed_line(line: str) -> Any:
    """The value of a JSON line; None where it is no JSON, nests too deeply, or has half a character.

    >>> parsed_line('{"user_id": 7}'), parsed_line("[" * 100_000), parsed_line(r'"\\ud800"')
    ({'user_id': 7}, None, None)
    """
    try:
        value = json.loads(line)
        if "\\ud" in line.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        return None  # told as a row that is no JSON object
    return value


def _cell_of(row: Any, name: str) -> str | None:
    value = row
    for part in [name] if isinstance(row, dict) and name in row else name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_cell(name: str) -> pl.Expr:
    """The value at a name; dots lead into objects, unless the key itself has them."""
    value = pl.col(LINE).str.json_path_match("$" + "".join(f"['{part}']" for part in name.split(".")))
    return pl.coalesce(value, pl.col(LINE).str.json_path_match(f"$['{name}']")) if "." in name else value


def _absent(lines: pl.Series, table: pl.DataFrame) -> Iterator[str]:
    """The columns whose key stands in no line; a key that is there and always null is not absent."""
    for name in table.columns:
        leaf = name.rsplit(".", 1)[-1]
        # As it is, and with non-ASCII characters escaped.
        keys = (json.dumps(leaf, ensure_ascii=False), json.dumps(leaf))
        is_there = table[name].is_not_null().any() or any(lines.str.contains(key, literal=True).any() for key in keys)
        if len(table) and not is_there:
            yield name


def _check_json(name: str, lines: pl.Series, table: pl.DataFrame, absent: frozenset[str]) -> None:
    first = lines.str.strip_chars().filter(lines.str.strip_chars() != "").first()
    if first is not None and str(first).startswith("["):
        raise SourceError(
            f"{name} is one JSON list; expected one object in each line.", f"Write it as lines: `jq -c '.[]' {name}`."
        )
    if absent:
        raise SourceError(
            f"{name} has no `{min(absent)}` in its first {len(table):,} rows; row 1 is {str(first)[:200]}.",
            "Mend the column mapping under ingest.files in params.yaml.",
        )


def _parsed(
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
    numbers = _RowNumbers(first_row)
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


class _RowNumbers:
    """Numbers the rows of one block after another, leaving out those that were set aside."""

    def __init__(self, first_row: int) -> None:
        self._next = first_row
        self._aside: list[int] = []

    def take(self, n_rows: int, aside: list[int]) -> pl.Series:
        # The parser is ahead: some of those set aside belong to blocks that are still to come.
        self._aside = [row for row in (*self._aside, *aside) if row >= self._next]
        is_taken = np.ones(n_rows + len(self._aside), np.bool_)
        inside = np.array(self._aside, np.int64) - self._next
        is_taken[inside[inside < len(is_taken)]] = False
        taken = self._next + np.flatnonzero(is_taken)[:n_rows]
        self._next = int(taken[-1]) + 1 if n_rows else self._next
        return pl.Series("row", taken, dtype=pl.Int64)


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


def check_columns(name: str, columns: Sequence[str], wanted: Sequence[str], separator: str | None = None) -> None:
    """Raise SourceError when a column is missing or named twice, or the line has another separator."""
    missing = [column for column in wanted if column not in columns]
    other = _likelier_separator(columns, separator) if missing else None
    if other:
        raise SourceError(
            f"{name}, row 1: with the separator {separator!r} it has {counted(len(columns), 'column')}: "
            f"{columns[0][:200]}.",
            f"It looks separated by {other!r}: set `separator: {other!r}` beside its path in params.yaml.",
        )
    if missing:
        raise SourceError(
            f"{name}, row 1: column {', '.join(missing)} is missing; found {', '.join(columns)}."
            + _did_you_mean(missing[0], columns),
            "Mend the column mapping under ingest.files in params.yaml, or the file.",
        )
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise SourceError(
            f"{name}, row 1: column {', '.join(twice)} is named twice in {', '.join(columns)}.",
            "Which one counts? Rename or remove the other in the file.",
        )


def _likelier_separator(columns: Sequence[str], separator: str | None) -> str | None:
    if separator is None or len(columns) > 2:
        return None
    line = separator.join(columns)
    return next((one for one in SEPARATORS if one != separator and line.count(one) >= len(columns)), None)


def _did_you_mean(name: str, columns: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in columns], n=1)
    return f" Did you mean {next(one for one in columns if one.lower() == close[0])}?" if close else ""


def _parquet(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    if file.compression:
        raise SourceError(f"{file.name}: Parquet is compressed inside, not as a file.", "Decompress the file.")
    numbers = _RowNumbers(1)
    with file.open() as stream, _parquet_errors(file):
        content = pyarrow.parquet.ParquetFile(stream)
        check_columns(file.name, content.schema_arrow.names, columns)
        wanted = list(columns)
        for block in content.iter_batches(batch_size=HEAD, columns=wanted):
            # Only where rows need a fingerprint is every column read.
            first = _plain_columns(block, wanted)
            if FINGERPRINT in with_fingerprints(first, first, settings).columns:
                wanted = [name for name in content.schema_arrow.names if name not in wanted] + wanted
            break
        for block in content.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            block.validate(full=True)
            whole = _plain_columns(block, wanted)
            yield RawRows(numbers.take(len(whole), []), with_fingerprints(whole.select(columns), whole, settings))


@contextmanager
def _parquet_errors(file: DataFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(
            f"{file.name} is no whole Parquet file: {str(error).rstrip('.')}.",
            "It was cut short or damaged on the way. Export or copy it again, and compare the sizes.",
        ) from error


def _plain_columns(block: Any, names: Sequence[str]) -> pl.DataFrame:
    plain = pa.table({name: _plain(block[name]) for name in names})
    return pl.DataFrame(pl.from_arrow(plain))


def _excel(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The rows of one sheet, every cell as text, times as ISO; the whole sheet is in memory."""
    sheet = _sheet(file, settings)
    check_columns(file.name, sheet.columns, columns)
    rows = pl.int_range(2, 2 + len(sheet), eager=True).alias("row")
    filled = sheet.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    whole = sheet.filter(filled)
    yield RawRows(rows.filter(filled), with_fingerprints(whole.select(columns), whole, settings))


def _sheet(file: DataFile, settings: TableFiles) -> pl.DataFrame:
    import fastexcel  # noqa: PLC0415 - few exports are Excel's

    with file.open() as stream:
        content = stream.read()
    try:
        return fastexcel.read_excel(content).load_sheet(settings.sheet or 0, header_row=0, dtypes="string").to_polars()
    except fastexcel.SheetNotFoundError as error:
        names = ", ".join(fastexcel.read_excel(content).sheet_names)
        raise SourceError(
            f"{file.name} has no sheet `{settings.sheet}`; found {names}.",
            "Mend `sheet` beside its path in params.yaml.",
        ) from error
    except fastexcel.FastExcelError as error:
        raise SourceError(
            f"{file.name} is no whole Excel file: {str(error).splitlines()[0]}.",
            "It was cut short or damaged on the way. Export or copy it again, and compare the sizes.",
        ) from error


def _plain(cells: pa.Array) -> pa.Array:
    """The same cells in a type that tables are read from: texts, numbers, times, and lists of them."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(cells.storage)
    if pa.types.is_dictionary(kind):
        return _plain(cells.dictionary_decode())
    if pa.types.is_fixed_size_list(kind):
        return cells.cast(pa.list_(kind.value_type))
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == UUID_BYTES:
        return pa.array(
            [None if cell is None else str(uuid.UUID(bytes=cell)) for cell in cells.to_pylist()], pa.string()
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _text_or_hex(cells)
    # A time of day and a length of time are no moments.
    return cells.cast(pa.string()) if pa.types.is_time(kind) or pa.types.is_duration(kind) else cells


def _text_or_hex(cells: pa.Array) -> pa.Array:
    try:
        return cells.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no text
        return pa.array([None if cell is None else cell.hex() for cell in cells.to_pylist()], pa.string())
