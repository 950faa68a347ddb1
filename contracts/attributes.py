"""The free attributes of items: as the canonical table has them, one JSON object in each row.

Names, and values that are texts, numbers or booleans: {"colour":"red","weight":1.5}. One text column holds whatever an
export knows, and the table's columns stay the same for every source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from contracts.fingerprint import canonical_json

if TYPE_CHECKING:  # the settings name attributes, and every command loads them: none waits for what makes tables
    import polars as pl

MOST_ATTRIBUTES: Final = 64  # of an export
ATTRIBUTE_NAME: Final = r"[^\W\d][\w-]{0,63}"  # a letter, then letters, digits, _ and -
PREFIX: Final = "attributes."  # before an attribute's name, where it stands beside other columns

AttributeValue = str | float | bool

_NAME = re.compile(ATTRIBUTE_NAME)


def attributes_cell(values: Mapping[str, AttributeValue | None]) -> str | None:
    """The cell of the table for these values; those that are None are left out, and no value at all is None."""
    known = {name: value for name, value in values.items() if value is not None}
    return canonical_json(known).decode() if known else None


def attributes_of(cell: str | None) -> dict[str, AttributeValue]:
    """The values in a cell of the table; whole numbers come as floats. Raises ValueError where it holds no such object.

    >>> attributes_of('{"colour":"red","weight":2}')
    {'colour': 'red', 'weight': 2.0}
    """
    if cell is None:
        return {}
    try:
        values = json.loads(cell)
    except RecursionError as error:
        raise ValueError("objects within objects") from error
    if isinstance(values, dict):
        return {_checked_name(name): _checked_value(name, value) for name, value in values.items()}
    raise ValueError(f"{cell:.60} is no object")


def are_attributes(cells: pl.Series) -> pl.Series:
    """Whether each cell holds an object of attributes, or nothing."""
    import polars as pl  # noqa: PLC0415 - see above

    return pl.Series(cells.name, [_is_sound(cell) for cell in cells], dtype=pl.Boolean)


def with_attributes(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its columns `attributes.<name>` put together in one, `attributes`."""
    import polars as pl  # noqa: PLC0415 - see above

    columns = [name for name in table.columns if name.startswith(PREFIX)]
    if not columns:
        return table
    names = [name.removeprefix(PREFIX) for name in columns]
    cells = [attributes_cell(dict(zip(names, row, strict=True))) for row in table.select(columns).iter_rows()]
    return table.drop(columns).with_columns(pl.Series("attributes", cells, dtype=pl.String))


def _is_sound(cell: str | None) -> bool:
    try:
        attributes_of(cell)
    except ValueError:
        return False
    return True


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.60} is no name of an attribute: a letter, then at most 63 letters, digits, _ or -")
    return name


def _checked_value(name: str, value: object) -> AttributeValue:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float) and abs(value) < float("inf"):
        return float(value)
    raise ValueError(f"{name} is {value!r:.60}; expected a text, a finite number, true or false")
