"""Filters over one catalogue: which fields there are, and which items a filter lets through.

Every condition is evaluated over the whole catalogue once, into a bitmap, and kept; so is what a request asks for as a
whole, one entry for all its filters together. A request with a filter that was met lately pays for neither.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from contracts.attributes import PREFIX
from contracts.errors import UnknownId, WrongInput
from contracts.filters import AllOf, AnyOf, Condition, Filter, Not, Operator, Value, filter_in, filter_text
from recommender.allowed_items import AllowedItems, Bits
from recommender.catalogue import Catalogue
from recommender.item_attributes import Attribute, BooleanAttribute, NumberAttribute, TextAttribute
from recommender.ragged import Offsets

MOST_FILTERS: Final = 64  # kept of a release; each with what generators made of it
MOST_CONDITIONS: Final = 256  # kept of a release; each a bit for every item
SHOWN_FIELDS: Final = 30

Mask = npt.NDArray[np.bool_]


class _Field(Protocol):
    """A column of the catalogue that conditions are about. kind: of its values, in words."""

    @property
    def kind(self) -> str: ...

    def mask(self, condition: Condition) -> Mask:
        """(n_items,) where the condition holds. Raises TypeError for a value of another type than the field's."""
        ...


@dataclass(frozen=True)
class _Texts:
    """One text of each item at most. folded: the different ones without regard to case; codes: (n_items,)."""

    folded: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    kind: str = "text"

    def mask(self, condition: Condition) -> Mask:
        return np.asarray(np.isin(self.codes, _places(self.folded, _values(condition, str))))


@dataclass(frozen=True)
class _Categories:
    """Several texts of each item. folded: as above; offsets, category_idx: as those of the catalogue."""

    folded: tuple[str, ...]
    offsets: Offsets
    category_idx: npt.NDArray[np.int32]
    kind: str = "text"

    def mask(self, condition: Condition) -> Mask:
        is_wanted = np.zeros(len(self.folded), bool)
        is_wanted[_places(self.folded, _values(condition, str))] = True
        entries = np.flatnonzero(is_wanted[self.category_idx])
        mask = np.zeros(len(self.offsets) - 1, bool)
        mask[np.searchsorted(self.offsets, entries, side="right") - 1] = True
        return mask


@dataclass(frozen=True)
class _Numbers:
    """One number of each item at most; numbers: (n_items,) NaN where there is none."""

    numbers: npt.NDArray[np.floating[Any]]
    kind: str = "number"

    def mask(self, condition: Condition) -> Mask:
        # In the precision of the column: 9.99 as it is stored is a little less than 9.99 in twice the bits.
        with np.errstate(over="ignore"):  # past the column's largest number is infinity, which compares as it should
            values = np.array(_values(condition, float), self.numbers.dtype)
        match condition.operator:
            case Operator.AT_LEAST:
                return np.asarray(self.numbers >= values[0])
            case Operator.AT_MOST:
                return np.asarray(self.numbers <= values[0])
            case _:
                return np.asarray(np.isin(self.numbers, values))


@dataclass(frozen=True)
class _Flags:
    """A yes or no of each item at most. flags: (n_items,) 1, 0, or anything else where there is none."""

    flags: npt.NDArray[np.integer[Any]] | Mask
    kind: str = "true or false"

    def mask(self, condition: Condition) -> Mask:
        return np.asarray(np.isin(self.flags, [int(value) for value in _values(condition, bool)]))


class CatalogueFilters:
    """The filters of one catalogue, compiled and kept. release_id: for messages.

    Fields: `categories`, `price`, `release_year`, `in_stock` and `attributes.<name>`, those of them that the catalogue
    says anything of. Texts are compared without regard to case. An item without a value passes no condition on it;
    only of stock, nothing known counts as in stock.
    """

    def __init__(self, catalogue: Catalogue, release_id: str) -> None:
        self._n_items = len(catalogue)
        self._release_id = release_id
        self._fields = _fields_of(catalogue)
        self._condition_bits = lru_cache(MOST_CONDITIONS)(self._bits_of_condition)
        self._allowed = lru_cache(MOST_FILTERS)(self._compiled)

    @property
    def fields(self) -> dict[str, str]:
        """What filters can name, and the type of each in words."""
        return {name: field.kind for name, field in self._fields.items()}

    def allowed(self, wanted: Filter | None) -> AllowedItems | None:
        """The items that the filter lets through; None without a filter.

        Raises UnknownId for a field that the release has not, WrongInput for a value of another type than the field's.
        """
        return self.allowed_by_all([] if wanted is None else [wanted])

    def allowed_by_all(self, wanted: Sequence[Filter]) -> AllowedItems | None:
        """The items that every one of these filters lets through, as one of those kept; None without any.

        Raises as `allowed`.
        """
        return self._allowed(_Joined.of(wanted)) if wanted else None

    def compiled(self, wanted: Sequence[Filter]) -> AllowedItems:
        """As `allowed_by_all` of at least one, made anew: for whoever keeps it, out of reach of what requests ask."""
        return AllowedItems(reduce(np.bitwise_and, map(self._bits, wanted)), self._n_items)

    def _compiled(self, wanted: _Joined) -> AllowedItems:
        return self.compiled(wanted.filters)

    def _bits(self, wanted: Filter) -> Bits:
        match wanted:
            case Condition():
                return self._condition_bits(filter_text(wanted))
            case AllOf():
                return reduce(np.bitwise_and, map(self._bits, wanted.parts))
            case AnyOf():
                return reduce(np.bitwise_or, map(self._bits, wanted.parts))
            case Not():
                return ~self._bits(wanted.part) & _ones(self._n_items)

    def _bits_of_condition(self, key: str) -> Bits:
        condition = filter_in(key)
        if not isinstance(condition, Condition):
            raise TypeError(f"{key} is no condition")
        field = self._fields.get(condition.field)
        if field is None:
            raise self._unknown(condition.field)
        try:
            return np.packbits(field.mask(condition), bitorder="little")
        except TypeError as error:
            raise WrongInput(
                f"Release {self._release_id}: {condition.field} is {field.kind}, and is compared by "
                f"`{condition.operator}` with {condition.value!r:.80}.",
                _FITTING[field.kind],
            ) from error

    def _unknown(self, name: str) -> UnknownId:
        # Without PREFIX: shared, it alone makes any two attributes alike. Of two of one name, the one asked like it.
        alike = sorted(self._fields, key=lambda field: field.startswith(PREFIX) == name.startswith(PREFIX))
        by_name = {field.removeprefix(PREFIX): field for field in alike}
        close = difflib.get_close_matches(name.removeprefix(PREFIX), by_name, n=1, cutoff=0.5)
        meant = f"Did you mean {by_name[close[0]]!r}? " if close else ""
        shown = [f"{field} ({kind})" for field, kind in self.fields.items()][:SHOWN_FIELDS]
        more = f" and {len(self._fields) - SHOWN_FIELDS} more" if len(self._fields) > SHOWN_FIELDS else ""
        return UnknownId(
            f"Release {self._release_id} has no field {name!r:.80} to filter by.",
            f"{meant}Its fields are {', '.join(shown)}{more}.",
        )


@dataclass(frozen=True)
class _Joined:
    """Filters that all must hold, the same where their texts are: as values, True and 1.0 would be one condition."""

    texts: tuple[str, ...]
    filters: tuple[Filter, ...] = field(compare=False)

    @classmethod
    def of(cls, filters: Sequence[Filter]) -> _Joined:
        return cls(tuple(map(filter_text, filters)), tuple(filters))


_FITTING: Final = {
    "text": "Compare it by `equals` with a text, or by `in` with several.",
    "number": "Compare it by `equals`, `at_least` or `at_most` with a number, or by `in` with several.",
    "true or false": "Compare it by `equals` with true or false.",
}


def _fields_of(catalogue: Catalogue) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    if catalogue.category_names:
        fields["categories"] = _Categories(
            _folded(catalogue.category_names), catalogue.category_offsets, catalogue.category_idx
        )
    for name, numbers in {"price": catalogue.price, "release_year": catalogue.release_year}.items():
        if not np.isnan(numbers).all():
            fields[name] = _Numbers(numbers)
    fields["in_stock"] = _Flags(catalogue.in_stock)
    return fields | {PREFIX + name: _field_of(one) for name, one in catalogue.attributes.items()}


def _field_of(attribute: Attribute) -> _Field:
    match attribute:
        case TextAttribute():
            return _Texts(_folded(attribute.values), attribute.codes)
        case NumberAttribute():
            return _Numbers(attribute.numbers)
        case BooleanAttribute():
            return _Flags(attribute.flags)


def _folded(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.casefold() for text in texts)


def _places(folded: tuple[str, ...], wanted: list[str]) -> npt.NDArray[np.intp]:
    """Where the wanted texts stand; several may be one without regard to case."""
    asked = {text.casefold() for text in wanted}
    return np.array([place for place, text in enumerate(folded) if text in asked], np.intp)


def _values(condition: Condition, kind: type) -> list[Any]:
    """The values that the condition compares with; raises TypeError for one of another type."""
    values: tuple[Value, ...] = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if any(type(value) is not kind for value in values):
        raise TypeError(f"{condition.value!r} is not {kind.__name__}")
    return list(values)


@lru_cache(8)
def _ones(n_items: int) -> Bits:
    return np.packbits(np.ones(n_items, bool), bitorder="little")
