"""JSON lines: an object in each line; dots in a column's name lead into objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow.csv

from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.files.data_files import DataFile
from sources.files.formats.row_batch import RawRows
from sources.files.formats.text_tables import parsed_blocks, unended
from sources.files.quotation import CountedStream
from sources.files.whole_days import with_fingerprints

LINE = "line"
NEVER = "\x01"  # never occurs in JSON, so that a line is one field
LONG_NUMBER = r"[:\[,]\s*-?\d{18,}"  # may not fit into 64 bits


def json_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The columns of JSON lines, batch by batch; lines that hold none of them are set aside."""
    parse = pyarrow.csv.ParseOptions(delimiter=NEVER, quote_char=False, ignore_empty_lines=False)
    cells = {name: _json_cell(name) for name in columns}
    n_rows = 0
    with file.open() as stream:
        counted = CountedStream(stream)
        for position, batch in enumerate(parsed_blocks(file, counted, parse, [LINE], settings.encoding, first_row=1)):
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
        yield from unended(counted, columns, n_rows)


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
