"""Where `slate tune` looks for a parameter: declared beside it, as `Annotated[int, SearchRange(4, 63)]`.

It lies within what the parameter may be, and says where a better value is worth looking for. Of a mapping it is the
range of each value. A parameter without one is not tuned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class SearchRange:
    """Both ends included. log: values are drawn evenly by their logarithm; step: between two counts."""

    low: float
    high: float
    log: bool = False
    step: int = 1


@dataclass(frozen=True)
class TunableParameter:
    """A parameter with a range. key: as in params.yaml, with dots; current: its value now; is_count: a whole number."""

    key: str
    current: float
    is_count: bool
    range: SearchRange


def tunable_parameters(settings: BaseModel, prefix: str = "") -> list[TunableParameter]:
    """All of these settings that have a range, in the order in which they are declared."""
    return list(_tunable(settings, prefix))


def _tunable(settings: BaseModel, prefix: str) -> Iterator[TunableParameter]:
    for name, field in type(settings).model_fields.items():
        key, value = f"{prefix}{field.alias or name}", getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _tunable(value, f"{key}.")
        for one in field.metadata:
            if isinstance(one, SearchRange):
                yield from (_parameter(below, inner, one) for below, inner in _values(key, value))


def _values(key: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{key}.{name}", inner) for name, inner in value.items()] if isinstance(value, Mapping) else [(key, value)]


def _parameter(key: str, value: Any, searched: SearchRange) -> TunableParameter:
    return TunableParameter(key, value, isinstance(value, int), searched)
