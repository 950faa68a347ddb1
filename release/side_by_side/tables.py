"""The figures of two releases as lines of cells, for the text and for the page alike; a table's columns come first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.evaluation.cases import COLD_CONTEXT, COLD_POPULAR, COLD_SESSION, WARM

GROUPS: Final = {
    WARM: "people with a history",
    COLD_SESSION: "newcomers after their first two events",
    COLD_CONTEXT: "newcomers with what is known of them beforehand",
    COLD_POPULAR: "newcomers of whom nothing is known",
}
_BETTER: Final = {"a": "A", "b": "B", None: ""}
Lines = list[list[str]]


def title_of(group: str, figures: Mapping[str, Any]) -> str:
    """A group in words, with the number of people."""
    return f"{GROUPS.get(group, group)}: {figures['people']}"


def metric_lines(group: Mapping[str, Any]) -> Lines:
    """Every metric of A and B, the paired difference with its interval, and whose is better where that is sure."""
    lines = [["metric", "A", "B", "B - A", "95%", "better"]]
    lines += [[_name(metric), *_cells(one), _BETTER[one["better"]]] for metric, one in group["metrics"].items()]
    lines += [
        [_name(metric), f"{one['a']:.3f}", f"{one['b']:.3f}", f"{one['difference']:+.3f}", "", ""]
        for metric, one in group["of_all_slates"].items()
    ]
    return lines


def tier_lines(figures: Mapping[str, Any]) -> Lines:
    """The headline metric by group and by the tier that answers under A; empty where there is one tier a group."""
    lines = [["people", "tier under A", "people", "of another tier under B", "A", "B", "B - A", "95%"]]
    for group, of_group in figures["groups"].items():
        for tier, one in of_group["tiers"].items():
            counts = [str(one["people"]), str(one["answered_by_another_tier"])]
            lines.append([GROUPS.get(group, group), tier, *counts, *_cells(one["metrics"][figures["metric"]])])
    return lines


def part_lines(figures: Mapping[str, Any], group: str) -> Lines:
    """What each part adds to the headline metric of a group; why one does not fit, `misfit_lines` says."""
    lines = [["part", "B gains by it", "95%", "into A", "out of B", "note"]]
    for one in figures["parts"] or ():
        if one["fits"]:
            effect = one["effect"][group]
            cells = [f"{effect['mean']:+.3f}", _interval(effect), _way(one["into_a"], group)]
            lines.append([one["part"], *cells, _way(one["out_of_b"], group), one["note"]])
        else:
            lines.append([one["part"], "does not fit", "", "", "", ""])
    return lines


def misfit_lines(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts that do not fit into the other release, each with a reason; it is the same for every group."""
    return [(one["part"], why) for one in figures["parts"] or () if not one["fits"] for why in one["why_not"]]


def card_lines(cards: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> Lines:
    """What two evaluation cards say, where they differ."""
    lines = [["people", "metric", "A", "B", "B - A"]]
    return lines + [
        [group, _name(metric), f"{was:.4g}", f"{now:.4g}", f"{change:+.4g}"]
        for group, metrics in cards.items()
        for metric, (was, now, change) in metrics.items()
    ]


def _name(metric: str) -> str:
    return metric.replace("_at_", "@")


def _cells(one: Mapping[str, Any]) -> list[str]:
    return [f"{one['a']:.3f}", f"{one['b']:.3f}", f"{one['difference']:+.3f}", _interval(one)]


def _interval(one: Mapping[str, Any]) -> str:
    return f"[{one['low']:+.3f}, {one['high']:+.3f}]"


def _way(means: Mapping[str, float] | None, group: str) -> str:
    return "does not fit" if means is None else f"{means[group]:+.3f}"
