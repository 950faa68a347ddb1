"""Figures as MLflow takes them: flat names, numbers apart from words, and one line for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

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


def headline(release_id: str, metrics: Mapping[str, Any]) -> str:
    """One line that says how good a release is."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(flat_metrics(metrics).items()))
    return f"Release {release_id}: {figures or 'no figures'}"


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
