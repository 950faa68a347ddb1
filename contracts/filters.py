"""Filters: which items a request may be answered with, as a typed value and as JSON.

    {"field": "price", "operator": "at_most", "value": 50}
    {"all": [filter, ...]}    {"any": [filter, ...]}    {"not": filter}

A filter is parsed without knowing any release; which fields there are, and of which type, is a release's to say
(`recommender.filters`). This is also the form that a longer language of expressions compiles to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from contracts.errors import WrongInput
from contracts.fingerprint import canonical_json
from contracts.printable import is_whole_text

MOST_CONDITIONS: Final = 32  # of a filter: each is a bitmap that somebody has to compute once
MOST_DEPTH: Final = 8  # filters within filters
MOST_VALUES: Final = 100  # of one `in`
LONGEST_TEXT: Final = 256  # characters
LARGEST_NUMBER: Final = 1e300

Value = str | float | bool


class Operator(StrEnum):
    """How a condition compares."""

    EQUALS = "equals"
    IN = "in"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


@dataclass(frozen=True)
class Condition:
    """One field compared with a value, or with several: it holds for an item where any of its values compares so.

    value: a tuple with operator IN, else one text, number or boolean; a number with AT_LEAST and AT_MOST. Numbers are
    floats.
    """

    field: str
    operator: Operator
    value: Value | tuple[Value, ...]

    def to_json(self) -> dict[str, Any]:
        """As `filter_of` reads it."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"field": self.field, "operator": str(self.operator), "value": value}


@dataclass(frozen=True)
class AllOf:
    """Every one of these holds."""

    parts: tuple[Filter, ...]

    def to_json(self) -> dict[str, Any]:
        """As `filter_of` reads it."""
        return {"all": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class AnyOf:
    """At least one of these holds."""

    parts: tuple[Filter, ...]

    def to_json(self) -> dict[str, Any]:
        """As `filter_of` reads it."""
        return {"any": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class Not:
    """This does not hold; so not either for an item that has no value for it."""

    part: Filter

    def to_json(self) -> dict[str, Any]:
        """As `filter_of` reads it."""
        return {"not": self.part.to_json()}


Filter = Condition | AllOf | AnyOf | Not

_CONDITION = frozenset({"field", "operator", "value"})
_FORMS = 'a condition {"field", "operator", "value"}, {"all": [...]}, {"any": [...]} or {"not": {...}}'
_NEXT = "docs/filters.md has the form of filters, with examples."


def filter_of(value: object) -> Filter:
    """The filter that this JSON value says; raises WrongInput naming the place and what was expected there.

    >>> filter_of({"all": [{"field": "price", "operator": "at_most", "value": 50}]}).to_json()
    {'all': [{'field': 'price', 'operator': 'at_most', 'value': 50.0}]}
    >>> filter_of({"field": "price", "operator": "below", "value": 50})
    Traceback (most recent call last):
    ...
    contracts.errors.WrongInput: filter.operator is 'below'; expected one of equals, in, at_least, at_most.
      docs/filters.md has the form of filters, with examples.
    """
    return _Parser().filter(value, "filter", MOST_DEPTH)


def filter_in(text: str) -> Filter:
    """The filter in a JSON text; raises WrongInput as `filter_of`, and where it is no JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"The filter {text!r:.80} is no JSON: {error}") from error
    return filter_of(value)


def filter_text(wanted: Filter) -> str:
    """The filter as JSON, always written the same way; as `filter_in` reads it."""
    return canonical_json(wanted.to_json()).decode()


class _Parser:
    """Reads one filter, and counts its conditions."""

    def __init__(self) -> None:
        self._n_conditions = 0

    def filter(self, value: object, where: str, depth: int) -> Filter:
        if depth == 0:
            raise _wrong(f"{where} is deeper than {MOST_DEPTH} filters within each other")
        if not isinstance(value, dict):
            raise _wrong(f"{where} is {_shown(value)}; expected {_FORMS}")
        match sorted(value):
            case ["all"]:
                return AllOf(self._parts(value["all"], f"{where}.all", depth))
            case ["any"]:
                return AnyOf(self._parts(value["any"], f"{where}.any", depth))
            case ["not"]:
                return Not(self.filter(value["not"], f"{where}.not", depth - 1))
            case keys if set(keys) == _CONDITION:
                return self._condition(value, where)
            case keys:
                raise _wrong(f"{where} has the keys {_shown(keys)}; expected {_FORMS}")

    def _parts(self, values: object, where: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(values, list) or not values:
            raise _wrong(f"{where} is {_shown(values)}; expected a list of at least one filter")
        return tuple(self.filter(one, f"{where}[{place}]", depth - 1) for place, one in enumerate(values))

    def _condition(self, value: Mapping[str, Any], where: str) -> Condition:
        self._n_conditions += 1
        if self._n_conditions > MOST_CONDITIONS:
            raise _wrong(f"{where} is one condition too many; a filter has at most {MOST_CONDITIONS}")
        field, word = value["field"], value["operator"]
        if not _is_text(field) or not field:
            raise _wrong(f"{where}.field is {_shown(field)}; expected the name of a field")
        if word not in list(Operator):
            raise _wrong(f"{where}.operator is {_shown(word)}; expected one of {', '.join(Operator)}")
        operator = Operator(word)
        return Condition(field, operator, _compared_with(value["value"], operator, f"{where}.value"))


def _compared_with(value: object, operator: Operator, where: str) -> Value | tuple[Value, ...]:
    if operator is Operator.IN:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_VALUES:
            raise _wrong(f"{where} is {_shown(value)}; `in` takes a list of 1 to {MOST_VALUES} values")
        return tuple(_scalar(one, f"{where}[{place}]") for place, one in enumerate(value))
    scalar = _scalar(value, where)
    if operator is not Operator.EQUALS and not isinstance(scalar, float):
        raise _wrong(f"{where} is {_shown(value)}; `{operator}` takes a number")
    return scalar


def _scalar(value: object, where: str) -> Value:
    if isinstance(value, bool):
        return value
    if _is_text(value):
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST_NUMBER:
        return float(value)
    raise _wrong(
        f"{where} is {_shown(value)}; expected a text of at most {LONGEST_TEXT} whole characters, true, false, or a "
        f"number of at most {LARGEST_NUMBER:g}"
    )


def _is_text(value: object) -> TypeGuard[str]:
    """JSON can write half a character (a lone surrogate), which no item has and UTF-8, as filters are kept, cannot."""
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and is_whole_text(value)


def _wrong(problem: str) -> WrongInput:
    return WrongInput(f"{problem}.", _NEXT)


def _shown(value: object) -> str:
    return f"{value!r:.80}"
