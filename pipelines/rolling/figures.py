"""What a judgement on rolling windows comes to: figures for programs, and a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from contracts.settings.settings import Settings
from pipelines.rolling.judgement import Comparer
from recommender.judging.windows import OverWindows
from release.evaluation.stages import CANDIDATES_RECALL

DIGITS: Final = 6


def figures_of(
    comparer: Comparer,
    bounds: Mapping[int, tuple[datetime, datetime]],
    seeds: Sequence[int],
    metrics: Sequence[str],
    tried: str | None = None,
) -> dict[str, Any]:
    """Means, and paired gains over each generator and of what was tried, with intervals; the first metric heads."""
    generators = comparer.generators()
    of_both = [name for name in metrics if name != CANDIDATES_RECALL]  # a generator without a quota has no candidates
    return {
        "windows": {
            number: {"start": start.isoformat(), "end": end.isoformat(), "people": comparer.n_people(number)}
            for number, (start, end) in bounds.items()
        },
        "seeds": list(seeds),
        "slates": {metric: _json(comparer.mean(metric)) for metric in metrics},
        "generators": {name: {metric: _json(comparer.mean(metric, name)) for metric in of_both} for name in generators},
        "gain_over": {
            name: {metric: _json(comparer.gain_over(metric, name)) for metric in of_both} for name in generators
        },
        "tried": None if tried is None else {"name": tried, "gain": gains_of(comparer, tried, metrics)},
    }


def told_metrics(settings: Settings) -> list[str]:
    """What the tables and the JSON tell: the headline's first, and recall at the other cutoffs."""
    first, *others = settings.evaluate.cutoffs
    names = ("ndcg", "recall", "hit_rate", "mrr", "map", "serendipity", "novelty", "diversity", "popularity_share")
    at_first = [f"{name}_at_{first}" for name in names]
    return [*at_first, *(f"{name}_at_{k}" for k in others for name in ("ndcg", "recall")), CANDIDATES_RECALL]


def gains_of(comparer: Comparer, tried: str, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By group and metric, what was tried gains over the parameters of the file."""
    return {
        group: {metric: _json(comparer.gain_of(tried, metric, group)) for metric in metrics}
        for group in comparer.groups()
    }


def table_of(figures: Mapping[str, Any]) -> list[list[str]]:
    """Lines of cells: the slates, and each generator with what the slates gain over it, best first; columns first."""
    metric = next(iter(figures["slates"]))
    title, n_windows = metric.replace("_at_", "@").upper(), len(figures["windows"])
    generators, gains = figures["generators"], figures["gain_over"]
    best_first = sorted(generators, key=lambda name: -generators[name][metric]["mean"])
    lines = [["system", title, "people", "windows", "the slates gain", "people", "windows", "ahead in"]]
    lines.append(["slates", *_cells(figures["slates"][metric]), "", "", "", ""])
    lines += [
        [
            name,
            *_cells(generators[name][metric]),
            *_cells(gains[name][metric], "+"),
            _ahead(gains[name][metric], n_windows),
        ]
        for name in best_first
    ]
    return lines


def tried_table_of(figures: Mapping[str, Any]) -> list[list[str]]:
    """Lines of cells: what was tried against the parameters of the file, by group and metric; columns first."""
    tried, n_windows = figures["tried"], len(figures["windows"])
    if tried is None:
        return []
    lines = [["people", "metric", "gain", "people", "windows", "ahead in"]]
    return lines + [
        [group, metric.replace("_at_", "@"), *_cells(gain, "+"), _ahead(gain, n_windows)]
        for group, gains in tried["gain"].items()
        for metric, gain in gains.items()
    ]


def _json(estimate: OverWindows) -> dict[str, Any]:
    return {
        "mean": round(estimate.mean, DIGITS),
        "by_window": [round(value, DIGITS) for value in estimate.by_window],
        "over_people": [round(estimate.over_people.low, DIGITS), round(estimate.over_people.high, DIGITS)],
        "over_windows": [round(estimate.over_windows.low, DIGITS), round(estimate.over_windows.high, DIGITS)],
        "n_ahead": estimate.n_ahead,
    }


def _cells(estimate: Mapping[str, Any], sign: str = "") -> list[str]:
    ends = (estimate["over_people"], estimate["over_windows"])
    return [f"{estimate['mean']:{sign}.3f}", *(f"[{low:{sign}.3f}, {high:{sign}.3f}]" for low, high in ends)]


def _ahead(estimate: Mapping[str, Any], n_windows: int) -> str:
    return f"{estimate['n_ahead']} of {n_windows}"
