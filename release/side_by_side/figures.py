"""Two releases side by side as figures: what `--json` prints, and what the text and the page are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from recommender.judging.intervals import Interval
from release.bundle.bundle import Release
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import WARM
from release.evaluation.summary import DIGITS, Bootstrap, rounded
from release.side_by_side.answers import Asker, Pair, headline_values
from release.side_by_side.part_effects import PartEffect, PartTrial, Working
from release.side_by_side.questions import Questions, shared_questions

HIGHER: Final = ("ndcg", "recall", "hit_rate", "mrr", "map", "serendipity")
LOWER: Final = ("miscalibration",)
Figures = dict[str, Any]


@dataclass(frozen=True)
class SideBySide:
    """Two releases that were asked the same questions. parts: what each part adds to the headline metric."""

    a: OpenBundle
    b: OpenBundle
    questions: Questions
    pair: Pair
    parts: Sequence[PartEffect] | None

    @property
    def metric(self) -> str:
        """The headline's."""
        return f"ndcg_at_{self.questions.cutoffs[0]}"


def side_by_side(a: OpenBundle, b: OpenBundle, bootstrap: Bootstrap, begin: Working, *, parts: bool) -> SideBySide:
    """Ask the measured fits of both, and with `parts` each with the other's parts.

    begin: is told what is done next. Raises NotComparable, with each reason, where both cannot be asked the same.
    """
    begin("the bundles are read")
    questions = shared_questions(a, b)
    measured = {one.folder: one.load_measured() for one in (a, b)}
    ours, theirs = measured[a.folder], measured[b.folder]
    asker = Asker.of(questions, measured[questions.lender.folder])
    begin("both are asked")
    pair = Pair(asker.ask_whole(ours, "A"), asker.ask_whole(theirs, "B"))
    found = SideBySide(a, b, questions, pair, None)
    if not parts:
        return found
    trial = _trial(asker, ours, theirs, pair, found.metric)
    return SideBySide(a, b, questions, pair, trial.effects(bootstrap, begin))


def _trial(asker: Asker, a: Release, b: Release, pair: Pair, metric: str) -> PartTrial:
    of_a, of_b = (headline_values(one, metric) for one in (pair.a, pair.b))
    return PartTrial(asker, a, b, of_a, of_b, metric)


def figures_of(found: SideBySide, bootstrap: Bootstrap) -> Figures:
    """Everything as JSON says it; the first group heads."""
    groups = {group: _group(found.pair, group, bootstrap) for group in found.pair.groups()}
    total = groups[_heading(groups)]["metrics"][found.metric]
    return {
        "a": _about(found.a),
        "b": _about(found.b),
        "questions": {
            "of": found.questions.lender.manifest.release_id,
            "start": found.questions.window.start.isoformat(),
            "end": found.questions.lender.manifest.as_of,
        },
        "notes": list(found.questions.notes),
        "metric": found.metric,
        "groups": groups,
        "parts": None if found.parts is None else [_part(one) for one in found.parts],
        "verdict": verdict_of(total, found.parts or (), _heading(groups)),
    }


def _heading(groups: Mapping[str, Any]) -> str:
    return WARM if WARM in groups else next(iter(groups))


def _about(one: OpenBundle) -> Figures:
    return {"release_id": one.manifest.release_id, "learnt_until": one.test_start.isoformat()}


def _group(pair: Pair, group: str, bootstrap: Bootstrap) -> Figures:
    rows = pair.rows.filter(pl.col("group") == group)
    of_all = {
        name: {"a": round(ours, DIGITS), "b": round(theirs, DIGITS), "difference": round(theirs - ours, DIGITS)}
        for name, (ours, theirs) in pair.of_all(group).items()
    }
    tiers = {
        str(tier): _slice(pair, mine, bootstrap, group, f"tier {tier}")
        for (tier,), mine in rows.group_by("tier", maintain_order=True)
    }
    return {**_slice(pair, rows, bootstrap, group), "of_all_slates": of_all, "tiers": tiers}


def _slice(pair: Pair, rows: pl.DataFrame, bootstrap: Bootstrap, *names: str) -> Figures:
    intervals = pair.intervals(rows, bootstrap, *names)
    moved = int((rows["tier"] != rows["tier_b"]).sum())
    metrics = {metric: _metric(rows, metric, interval) for metric, interval in intervals.items()}
    return {"people": rows.height, "answered_by_another_tier": moved, "metrics": metrics}


def _metric(rows: pl.DataFrame, metric: str, interval: Interval) -> Figures:
    both = rows.select(metric, f"{metric}_b").drop_nulls()
    a, b = both.mean().row(0)
    difference = {"difference" if name == "mean" else name: value for name, value in rounded(interval).items()}
    return {"a": round(a, DIGITS), "b": round(b, DIGITS), **difference, "better": better(metric, interval)}


def better(metric: str, interval: Interval) -> str | None:
    """`a` or `b` where the whole interval says so of a metric that has a better end; None elsewhere."""
    name = metric.rpartition("_at_")[0]
    sign = 1 if name in HIGHER else -1 if name in LOWER else 0
    if sign and min(sign * interval.low, sign * interval.high) > 0:
        return "b"
    return "a" if sign and max(sign * interval.low, sign * interval.high) < 0 else None


def _part(one: PartEffect) -> Figures:
    return {
        "part": one.part,
        "fits": one.fits,
        "effect": {group: rounded(interval) for group, interval in one.by_group.items()},
        "into_a": _rounded_means(one.into_a),
        "out_of_b": _rounded_means(one.out_of_b),
        "why_not": list(one.why_not),
        "note": one.note,
    }


def _rounded_means(means: Mapping[str, float] | None) -> Figures | None:
    return None if means is None else {group: round(mean, DIGITS) for group, mean in means.items()}


def verdict_of(total: Mapping[str, Any], parts: Sequence[PartEffect], group: str) -> str:
    """In a sentence, whether the two differ, and which parts the difference comes from.

    total: the difference of the headline metric, `low` and `high` its interval.
    """
    if total["low"] <= 0 <= total["high"]:
        return "no difference that these people can tell" + _opposed(parts, group)
    ahead, sign = ("B", 1) if total["difference"] > 0 else ("A", -1)
    causes = [one for one in parts if one.fits and _points(one.by_group[group], sign)]
    causes.sort(key=lambda one: -sign * one.by_group[group].mean)
    if not causes:
        untold = "no single part makes it" if parts else "parts were not swapped"
        return f"{ahead} is better, by {abs(total['difference']):.3f}; {untold}"
    named = ", ".join(f"{one.part} ({one.by_group[group].mean:+.3f})" for one in causes)
    return f"{ahead} is better, by {abs(total['difference']):.3f}; what B gains comes from {named}"


def _opposed(parts: Sequence[PartEffect], group: str) -> str:
    """The parts that do make a difference by themselves, where the whole makes none."""
    named = [
        f"{one.part} ({one.by_group[group].mean:+.3f})"
        for one in parts
        if one.fits and (_points(one.by_group[group], 1) or _points(one.by_group[group], -1))
    ]
    return f"; by itself, each of these makes one: {', '.join(named)}" if named else ""


def _points(interval: Interval, sign: int) -> bool:
    """Whether the whole interval lies on that side of 0."""
    return min(sign * interval.low, sign * interval.high) > 0
