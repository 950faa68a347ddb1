"""How good a release is, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline_sentence(metrics: Mapping[str, Any]) -> str:
    """The figure with its interval, of how many people, and the figures that it is to be held against.

    metrics: as a manifest's headline: `people`, `ndcg_at_<k>`, `low`, `high`, and a figure per rival.
    """
    known = dict(metrics)
    people, low, high = (known.pop(name, None) for name in ("people", "low", "high"))
    measured = next((name for name in known if name.startswith("ndcg_at_")), None)
    if measured is None:
        return "no figures"
    value = known.pop(measured)
    figure = f"{measured.replace('_at_', '@').upper()} {value:.3f} [{low:.3f}, {high:.3f}]"
    rivals = "".join(f"; {name} {theirs:.3f}" for name, theirs in known.items())
    return f"{figure} for {people} people with a history{rivals}"
