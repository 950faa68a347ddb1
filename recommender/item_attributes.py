"""The free attributes of a catalogue's items, as columns: texts as codes, numbers and booleans as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import load_array
from contracts.attributes import AttributeValue, attributes_of
from contracts.errors import ShapeMismatch

NONE = -1  # the code, or the flag, of an item without the attribute


@dataclass(frozen=True)
class TextAttribute:
    """values: the different texts, sorted. codes: (n_items,) int32, the place of each item's among them, or NONE."""

    values: tuple[str, ...]
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True)
class NumberAttribute:
    """numbers: (n_items,) float64, NaN where an item has none."""

    numbers: npt.NDArray[np.float64]


@dataclass(frozen=True)
class BooleanAttribute:
    """flags: (n_items,) int8, 1 for true, 0 for false, or NONE."""

    flags: npt.NDArray[np.int8]


Attribute = TextAttribute | NumberAttribute | BooleanAttribute
_TYPE_NAMES = {str: "text", float: "number", bool: "boolean"}


def attribute_columns(cells: Sequence[str | None]) -> dict[str, Attribute]:
    """The attributes in these cells of the items table, by name, sorted; aligned with the cells.

    Raises ShapeMismatch where an attribute is of one type here and of another there.
    """
    found: dict[str, dict[int, AttributeValue]] = {}
    for item_idx, cell in enumerate(cells):
        for name, value in attributes_of(cell).items():
            found.setdefault(name, {})[item_idx] = value
    return {name: _attribute(name, found[name], len(cells)) for name in sorted(found)}


def attribute_arrays(attributes: Mapping[str, Attribute]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an artefact that hold the attributes: `attribute_0` and so on, in the order of their names."""
    return {f"attribute_{place}": _array(one) for place, one in enumerate(attributes.values())}


def attribute_values(attributes: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    """What the artefact says of them beside the arrays: name, type and, of texts, the different values."""
    return [
        {"name": name, "type": "text", "values": list(one.values)}
        if isinstance(one, TextAttribute)
        else {"name": name, "type": "number" if isinstance(one, NumberAttribute) else "boolean"}
        for name, one in attributes.items()
    ]


def load_attributes(folder: Path, described: Sequence[Mapping[str, Any]], n_items: int) -> dict[str, Attribute]:
    """The attributes of an artefact. described: what `attribute_values` said of them.

    Raises ArtefactError or ValueError where the arrays are not what was said.
    """
    return {str(one["name"]): _load(folder, f"attribute_{place}", one, n_items) for place, one in enumerate(described)}


def _attribute(name: str, values: Mapping[int, AttributeValue], n_items: int) -> Attribute:
    types = {type(value) for value in values.values()}
    if len(types) > 1:
        both = " and ".join(sorted(_TYPE_NAMES[one] for one in types))
        raise ShapeMismatch(
            f"The items' attribute {name} is {both} in turns.",
            "Give it one type under `ingest.files.items.attributes`, or export it as two columns.",
        )
    item_idx = np.fromiter(values, np.int64)
    (kind,) = types
    if kind is str:
        texts, codes = np.unique(np.array(list(values.values()), object), return_inverse=True)
        return TextAttribute(tuple(texts.tolist()), _filled(n_items, NONE, item_idx, codes, np.int32))
    if kind is bool:
        return BooleanAttribute(_filled(n_items, NONE, item_idx, list(values.values()), np.int8))
    return NumberAttribute(_filled(n_items, np.nan, item_idx, list(values.values()), np.float64))


def _filled(n_items: int, default: float, item_idx: npt.NDArray[np.int64], values: Any, dtype: Any) -> Any:
    column = np.full(n_items, default, dtype)
    column[item_idx] = values
    return column


def _array(attribute: Attribute) -> npt.NDArray[Any]:
    match attribute:
        case TextAttribute():
            return attribute.codes
        case NumberAttribute():
            return attribute.numbers
        case BooleanAttribute():
            return attribute.flags


def _load(folder: Path, array: str, described: Mapping[str, Any], n_items: int) -> Attribute:
    match described["type"]:
        case "text":
            values, codes = tuple(described["values"]), load_array(folder, array, np.int32, (n_items,))
            if not all(isinstance(value, str) for value in values):
                raise ValueError(f"the values of {array} are not all texts")
            _check_within(array, codes, len(values))
            return TextAttribute(values, codes)
        case "number":
            return NumberAttribute(load_array(folder, array, np.float64, (n_items,)))
        case "boolean":
            flags = load_array(folder, array, np.int8, (n_items,))
            _check_within(array, flags, len((False, True)))
            return BooleanAttribute(flags)
        case kind:
            raise ValueError(f"{array} is of type {kind!r:.40}")


def _check_within(array: str, codes: npt.NDArray[np.integer[Any]], n_values: int) -> None:
    if len(codes) and not NONE <= codes.min() <= codes.max() < n_values:
        raise ValueError(f"{array} holds codes {codes.min()} to {codes.max()}, of {n_values} values")
