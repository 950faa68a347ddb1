"""A first look at an unknown file: format, encoding, separator, columns, and a sample as text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import polars as pl
import pyarrow.parquet
from charset_normalizer import from_bytes

from contracts.errors import SourceError
from contracts.settings.files import Format, TableFiles
from sources.files.data_files import DataFile
from sources.files.encodings import FirstBytes, first_bytes
from sources.files.formats.excel import sheet_names
from sources.files.formats.json_lines import parsed_line
from sources.files.formats.row_batch import SEPARATORS
from sources.files.formats.text_tables import read_header
from sources.files.raw_rows import columns_of, read_rows
from sources.files.times import guess_unit

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
LIKELY_NAMES = ("user_id", "item_id", "value", "event_ts")  # of the commonest file without names, a dump of ratings
SAMPLE_BYTES = 4 << 20
SAMPLE_ROWS = 20_000
SNIFFED_LINES = 50
CONSISTENT = 0.8  # of the sniffed lines have as many fields as the first
OTHER_ALPHABETS = ("Cyrillic", "Greek", "Hebrew", "Arabic", "CJK", "Hiragana", "Katakana", "Hangul", "Thai")
# What databases, R and Python write where they have no value.
NULL_WORDS = ("NULL", "null", r"\N", "None", "NaN", "nan", "NA", "N/A", "#N/A", "<NA>", "(null)")
FALLBACK = "cp1252"  # of Western Europe, as Windows writes it; Latin-1 with more in it


@dataclass(frozen=True)
class FirstLook:
    """What a first look shows of a file. sample: its first rows, every cell as text; is_list: columns that hold lists;
    aware, naive: columns that are times by type, with a zone and without; is_ascii: it may be of any encoding;
    null_words: by column, texts that stand for no value; they are null in the sample; said: what its first bytes say of
    its encoding; sheets: of an Excel file, the name of the one that was looked at, and of the others."""

    file: DataFile
    settings: TableFiles
    sample: pl.DataFrame
    is_list: frozenset[str] = frozenset()
    aware: frozenset[str] = frozenset()
    naive: frozenset[str] = frozenset()
    is_ascii: bool = False
    null_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: FirstBytes | None = None
    sheets: tuple[str, ...] = ()

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal for files that are parts of one table."""
        written = self.settings
        return written.format, written.encoding, written.separator, *sorted(set(self.sample.columns))


def look_at(file: DataFile) -> FirstLook:
    """Look at the beginning of a file; raises SourceError when it is empty, damaged, or of an unknown format."""
    kind = file.format or _format_of(file)
    if kind == "parquet":
        return _look_at_parquet(file)
    if kind == "excel":
        return _look_at_sheet(file)
    head = _head(file)
    if not head.strip():
        raise SourceError(f"{file.name} is empty.", "Export it again, or take it away if nothing happened then.")
    encoding = guess_encoding(head)
    if kind == "jsonl":
        settings = TableFiles(format=_unless_named(kind, file), encoding=encoding)
        sample, lists = _json_sample(file, head.decode(encoding, errors="replace"))
        return FirstLook(file, settings, sample, lists, is_ascii=_is_ascii(head), said=first_bytes(head))
    separator = None if kind == "tsv" else guess_separator(head.decode(encoding, errors="replace"))
    settings = TableFiles(
        format=_unless_named(kind, file), encoding=encoding, separator=None if separator == "," else separator
    )
    first_row = list(read_header(file, settings))
    names = [name for name in dict.fromkeys(first_row) if name]
    _check_names(file, first_row, "\t" if kind == "tsv" else settings.separator or ",")
    # The reader refuses a name that stands twice. Here it would hide everything else that is wrong.
    sample = _sample(file, settings, names)
    nulled = sample.with_columns(pl.when(~pl.all().is_in(NULL_WORDS)).then(pl.all()))
    return FirstLook(
        file, settings, nulled, is_ascii=_is_ascii(head), null_words=_null_words(sample), said=first_bytes(head)
    )


def _check_names(file: DataFile, first_row: list[str], separator: str) -> None:
    """Raise SourceError where the first row looks like data: a time is in it, or most of it are numbers."""
    names = [name for name in dict.fromkeys(first_row) if name]
    times = [name for name in names if guess_unit(pl.Series([name])) == "iso"]
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    if not times and 2 * len(numbers) <= len(names):
        return
    shown = (times or numbers)[0]
    raise SourceError(
        f"{file.name}, row 1: found {shown!r}; expected a row of column names, and this looks like data.",
        f"Put a row of names above the data, separated as the data is: {_row_of_names(len(first_row), separator)}",
    )


def _row_of_names(n_columns: int, separator: str) -> str:
    """A row of so many names, for a person to put their own in; a tab is shown as what prints one."""
    names = [*LIKELY_NAMES, *(f"column_{number}" for number in range(len(LIKELY_NAMES) + 1, n_columns + 1))][:n_columns]
    if separator != "\t":
        return f"such as {separator.join(names)}."
    row = "\\t".join(names)
    return f"the line that `printf '{row}\\n'` prints, with tabs, or names of your own."


def _null_words(sample: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    cells_of = {column.name: set(column.unique()) for column in sample}
    return {name: words for name, cells in cells_of.items() if (words := tuple(w for w in NULL_WORDS if w in cells))}


def guess_encoding(head: bytes) -> str:
    """The encoding of a text by its first bytes, which may end within a character."""
    said = first_bytes(head)
    if said is not None:
        return said.encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        telling = b"\n".join(line for line in head.splitlines() if not line.isascii())[: 64 << 10]
        best = from_bytes(telling).best()
        # For Latin letters the commonest encoding is a better guess than the library's.
        is_foreign = best is not None and any(name.startswith(OTHER_ALPHABETS) for name in best.alphabets)
        return best.encoding if best is not None and is_foreign else FALLBACK
    return "utf-8"


def guess_separator(text: str) -> str:
    """The separator that gives most lines as many fields as the first; of several, the one that gives most fields."""
    lines = [line for line in text.splitlines()[:SNIFFED_LINES] if line.strip()]
    best, most = ",", 1
    for separator in SEPARATORS:
        # A quotation mark inside a field shows that another separator stands before it.
        try:
            read = list(csv.reader(lines, delimiter=separator))
        except csv.Error:
            continue  # a field is longer than the module takes
        rows = [row for row in read if row and not any('"' in cell for cell in row)]
        counts = [len(row) for row in rows]
        if counts and counts[0] > most and counts.count(counts[0]) >= CONSISTENT * len(lines):
            best, most = separator, counts[0]
    return best


def _format_of(file: DataFile) -> Format:
    head = _head(file)
    if head.startswith(b"PAR1"):
        return "parquet"
    if b"\0" in head[:1000] and first_bytes(head) is None:
        raise SourceError(f"{file.name} is neither text nor Parquet.", "Export CSV, TSV, JSON lines or Parquet.")
    return "jsonl" if head.lstrip()[:1] == b"{" else "csv"


def _unless_named(kind: Format, file: DataFile) -> Format | None:
    return None if file.format == kind else kind


def _is_ascii(head: bytes) -> bool:
    return head.isascii() and b"\0" not in head  # with zeros it is UTF-16


def _head(file: DataFile) -> bytes:
    with file.open() as stream:
        return stream.read(SAMPLE_BYTES)


def _sample(file: DataFile, settings: TableFiles, names: list[str]) -> pl.DataFrame:
    columns = [*names, *(name for name in file.partitions if name not in names)]
    batch = next(iter(read_rows(file, settings, columns)))
    if batch.table.is_empty() and batch.ragged:
        row, n_expected, n_fields, text = batch.ragged[0]
        raise SourceError(
            f"{file.name}, row {row}: {n_fields} fields, where row 1 has {n_expected}: {text[:200].strip()}",
            "Mend the row of column names, or the separator of one of them.",
        )
    return batch.table.head(SAMPLE_ROWS)


def _json_sample(file: DataFile, text: str) -> tuple[pl.DataFrame, frozenset[str]]:
    rows: list[Mapping[str, Any]] = []
    for line in islice(io.StringIO(text), SAMPLE_ROWS):
        value = parsed_line(line)  # the sample cuts the last line; other broken ones are told when the file is read
        if isinstance(value, dict):
            rows.append(_flat(value))
    if not rows:
        raise SourceError(f"{file.name} holds no JSON object a line.", "Export one object a line.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    lists = frozenset(name for row in rows for name, cell in row.items() if isinstance(cell, list))
    cells = {name: [_as_text(row.get(name)) for row in rows] for name in names}
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String)), lists


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, cell in value.items():
        flat |= _flat(cell, f"{prefix}{name}.") if isinstance(cell, dict) else {f"{prefix}{name}": cell}
    return flat


def _as_text(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def _look_at_sheet(file: DataFile) -> FirstLook:
    """The first sheet, whose times name no zone."""
    settings = TableFiles()
    sample = _sample(file, settings, sorted(columns_of(file, settings) - set(file.partitions), key=str))
    return FirstLook(file, settings, sample, null_words=_null_words(sample), sheets=tuple(sheet_names(file)))


def _look_at_parquet(file: DataFile) -> FirstLook:
    settings = TableFiles(format=_unless_named("parquet", file))
    with file.open() as stream:
        try:
            names = pyarrow.parquet.ParquetFile(stream).schema_arrow.names
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{file.name} is no whole Parquet file: {str(error).rstrip('.')}.",
                "It was cut short on the way. Copy it again.",
            ) from error
    sample = _sample(file, settings, names)
    kinds = sample.schema
    lists = frozenset(name for name, kind in kinds.items() if isinstance(kind, pl.List))
    zoned = frozenset(name for name, kind in kinds.items() if isinstance(kind, pl.Datetime) and kind.time_zone)
    naive = frozenset(name for name, kind in kinds.items() if kind.is_temporal()) - zoned
    text = [_text_of(name, kind) for name, kind in kinds.items()]
    return FirstLook(file, settings, sample.select(text), lists, zoned, naive)


def _text_of(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.List):
        return pl.col(name).cast(pl.List(pl.String), strict=False).list.join("|")
    return pl.lit("{...}").alias(name) if kind.is_nested() else pl.col(name).cast(pl.String, strict=False)
