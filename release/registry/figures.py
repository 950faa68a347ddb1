"""Figures as MLflow takes them: flat names, numbers apart from words, and one line for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from release.bundle.headline import headline_sentence

_OF_MEASURED = ("low", "high", "people")
PARAM_LENGTH = 6000  # MLflow refuses longer values
_REFUSED = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in the name of a metric


def flat_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters by dotted name: `{"als": {"factors": 64}}` becomes `{"als.factors": "64"}`."""
    return {name: str(value)[:PARAM_LENGTH] for name, value in _leaves(params, "")}


def flat_metrics(figures: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among nested figures by dotted name; `ndcg@10` becomes `ndcg_at_10`."""
    return {
        _REFUSED.sub("_", name.replace("@", "_at_")): float(value)
        for name, value in _leaves(figures, "")
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def first_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The headline's figures under names that MLflow, which sorts its columns by name, shows first.

    metrics: as for `headline`, with the figure first.
    """
    measured = next((name for name in metrics if name.startswith("ndcg_at_")), None)
    if measured is None:
        return {}
    order = [measured, "low", "high", "people", *(name for name in metrics if name not in {measured, *_OF_MEASURED})]
    names = {"low": f"{measured}_low", "high": f"{measured}_high"}
    return {f"{number}_{names.get(name, name)}": float(metrics[name]) for number, name in enumerate(order, start=1)}


def headline(release_id: str, metrics: Mapping[str, Any]) -> str:
    """One line that says how good a release is, and what that is to be held against."""
    return f"Release {release_id}: {headline_sentence(metrics)}"


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, list | Mapping) for inner in value):
        for position, inner in enumerate(value):
            yield from _leaves(inner, f"{name}.{position}")
    elif isinstance(value, list) and len(value) == 2 and all(isinstance(inner, float) for inner in value):
        yield f"{name}.low", value[0]
        yield f"{name}.high", value[1]
    else:
        yield name, value
