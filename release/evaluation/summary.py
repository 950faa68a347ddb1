"""From values per person to what is reported: means with intervals, differences, slices, the headline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl

from contracts.fingerprint import fingerprint_json
from contracts.settings.placements import Placement
from recommender.judging.intervals import (
    Interval,
    bootstrap_interval,
    draw_people,
    interval_of,
    paired_bootstrap,
    resampled_means,
)
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES, Evaluation, values_of

# Item to item is what a shop has today, or would buy.
RIVALS: Final = ("als", "covisitation", "popular", "popular_recent")
DIGITS: Final = 6  # more would be noise: the intervals are some hundredths wide
HISTORY_BANDS: Final = ((1, 4), (5, 19), (20, 99), (100, None))


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: by the names of what they are of, whatever the order they are asked in."""

    n_resamples: int
    seed: int

    def interval(self, values: np.ndarray[Any, Any], *names: str) -> Interval:
        """Of a mean over people; names: what it is of. Metrics of one name are drawn alike."""
        return bootstrap_interval(values, self._rng(*names), self.n_resamples)

    def intervals(self, columns: Mapping[str, np.ndarray[Any, Any]], *names: str) -> dict[str, Interval]:
        """By column, what `interval` gives for each alone; all are values of the same people, who are drawn once."""
        n_people = len(next(iter(columns.values())))
        drawn = draw_people(n_people, self._rng(*names), self.n_resamples)
        return {
            name: interval_of(float(values.mean()), resampled_means(values, drawn)) for name, values in columns.items()
        }

    def difference(self, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], *names: str) -> Interval:
        """Of the mean of ours - theirs over the same people."""
        return paired_bootstrap(ours, theirs, self._rng(*names), self.n_resamples)

    def _rng(self, *names: str) -> np.random.Generator:
        return np.random.default_rng(int(fingerprint_json([self.seed, *names]), 16))


def summarise(
    evaluation: Evaluation, bootstrap: Bootstrap, headline_metric: str, window: tuple[datetime, datetime]
) -> dict[str, Any]:
    """The figures worth a glance: the headline, what the slates gain over each rival, and the slates per group.

    The rivals are those of `RIVALS` that were measured, and the best single generator.
    window: where the test window starts and ends.
    """
    groups = evaluation.per_person["group"].unique(maintain_order=True).to_list()
    return {
        "window": {"test_start": window[0].isoformat(), "as_of": window[1].isoformat()},
        "headline": _headline(evaluation, bootstrap, headline_metric),
        f"{headline_metric}_gain_over": {
            rival: rounded(_gain_over(evaluation, bootstrap, rival, headline_metric))
            for rival in _rivals(evaluation, headline_metric)
        },
        "best_generator": _best_generator_json(evaluation, headline_metric),
        **{group: _group_means(evaluation, group) for group in groups},
    }


def best_generator(evaluation: Evaluation, metric: str) -> str | None:
    """The generator whose slates alone have the highest mean for people with history; None where none was judged.

    It is chosen on the people on whom it is then compared, so its figure is a little too high, and what the slates gain
    over it a little too low. Of equals, the first by name.
    """
    means = _generator_means(evaluation, metric)
    return min(means, key=lambda name: (-means[name], name), default=None)


def idle_best_generator(evaluation: Evaluation, quotas: Mapping[str, int], metric: str) -> str | None:
    """What to know where the best single generator has no quota; None where it has one."""
    best = best_generator(evaluation, metric)
    if best is None or quotas.get(best, 0):
        return None
    means = _generator_means(evaluation, metric)
    asked = {name: mean for name, mean in means.items() if quotas.get(name, 0)}
    second = min(asked, key=lambda name: (-asked[name], name), default=None)
    beside = f", before {second} with {asked[second]:.3f}" if second else ""
    return (
        f"{best} alone has the best {metric} of all generators on this data ({means[best]:.3f}{beside}), and proposes "
        f"nothing: its quota is 0. Try request.quotas.{best} in params.yaml, and compare; no quota is changed for you."
    )


def rules_beside_quotas(placement: Placement) -> str | None:
    """What to know where rules put items into the slates that were measured; None where none does."""
    names = sorted(name for name, rule in placement.rules.items() if rule.kind in ("pin", "promote"))
    if not names:
        return None
    return (
        f"Candidates of the rules {', '.join(names)} are looked for beside the quotas: slates are measured with them, "
        "and the stages of retrieval and the generators alone without them."
    )


def per_system(evaluation: Evaluation, bootstrap: Bootstrap) -> pl.DataFrame:
    """group, system, metric, value, low, high: every mean with its interval; coverage and Gini, no means, without."""
    rows: list[tuple[str, str, str, float, float | None, float | None]] = []
    for group, system in evaluation.per_person.select("group", "system").unique(maintain_order=True).rows():
        measured = {name: values_of(evaluation.per_person, group, system, name) for name in evaluation.metrics}
        for metric, interval in _intervals(bootstrap, measured, group, system).items():
            rows.append((group, system, metric, interval.mean, interval.low, interval.high))
    for covered in evaluation.coverage.iter_rows(named=True):
        metrics = sorted(covered.keys() - {"group", "system"})
        rows += [(covered["group"], covered["system"], metric, covered[metric], None, None) for metric in metrics]
    names = ["group", "system", "metric", "value", "low", "high"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("value", "low", "high").round(DIGITS))


def _intervals(bootstrap: Bootstrap, measured: Mapping[str, np.ndarray[Any, Any]], *names: str) -> dict[str, Interval]:
    """By metric, its interval; metrics that were measured of as many people are of the same people.

    Without those that were measured of nobody: a newcomer has no history that a slate could be held against.
    """
    found: dict[str, Interval] = {}
    for n_people in dict.fromkeys(map(len, measured.values())):
        alike = {name: values for name, values in measured.items() if len(values) == n_people}
        found |= bootstrap.intervals(alike, *names) if n_people else {}
    return {name: found[name] for name in measured if name in found}


def slices(evaluation: Evaluation, bootstrap: Bootstrap, metric: str) -> list[dict[str, Any]]:
    """The slates' metric, with intervals, per group, per tier that answered, and per length of the history."""
    rows = evaluation.per_person.filter(pl.col("system") == SLATES)
    slice_rows = []
    for (group,), members in rows.group_by("group", maintain_order=True):
        # Under the name of the system, so that its interval is the one in per_system.csv.
        slice_rows.append({**_slice(members, bootstrap, metric, str(group), SLATES), "slice": "everybody"})
        for (tier,), of_tier in members.group_by("tier", maintain_order=True):
            slice_rows.append(_slice(of_tier, bootstrap, metric, str(group), f"tier {tier}"))
    warm = rows.filter(pl.col("group") == WARM)
    for low, high in HISTORY_BANDS:
        band = warm.filter((pl.col("n_seen") >= low) & (pl.col("n_seen") <= high if high else True))
        if band.height:
            slice_rows.append(
                _slice(band, bootstrap, metric, WARM, f"history {low} to {high}" if high else f"history {low}+")
            )
    return slice_rows


def _slice(rows: pl.DataFrame, bootstrap: Bootstrap, metric: str, group: str, name: str) -> dict[str, Any]:
    values = rows.sort("user_id")[metric].to_numpy()
    interval = rounded(bootstrap.interval(values, group, name))
    return {"group": group, "slice": name, "people": rows.height, "metric": metric, **interval}


def _headline(evaluation: Evaluation, bootstrap: Bootstrap, metric: str) -> dict[str, Any]:
    ours = values_of(evaluation.per_person, WARM, SLATES, metric)
    interval = rounded(bootstrap.interval(ours, WARM, SLATES))
    means = _generator_means(evaluation, metric)
    rivals = {name: round(means[name], DIGITS) for name in _rivals(evaluation, metric)}
    return {
        "people": len(ours),
        metric: interval["mean"],
        "low": interval["low"],
        "high": interval["high"],
        **rivals,
    }


def _gain_over(evaluation: Evaluation, bootstrap: Bootstrap, rival: str, metric: str) -> Interval:
    ours, theirs = (values_of(evaluation.per_person, WARM, system, metric) for system in (SLATES, rival))
    return bootstrap.difference(ours, theirs, WARM, rival, metric)


def _group_means(evaluation: Evaluation, group: str) -> dict[str, Any]:
    mine = (pl.col("group") == group) & (pl.col("system") == SLATES)
    rows, covered = evaluation.per_person.filter(mine), evaluation.coverage.filter(mine)
    means: dict[str, Any] = {metric: rows[metric].mean() for metric in evaluation.metrics}
    means |= covered.drop("group", "system").row(0, named=True)
    known = {name: value for name, value in means.items() if value is not None}
    return {"people": rows.height, **{name: round(float(value), DIGITS) for name, value in known.items()}}


def _rivals(evaluation: Evaluation, metric: str) -> list[str]:
    """What the slates are held against: the rivals that were measured, and the best single generator."""
    measured, best = _generator_means(evaluation, metric), best_generator(evaluation, metric)
    names: list[str] = [name for name in RIVALS if name in measured]
    return names if best is None or best in names else [*names, best]


def _best_generator_json(evaluation: Evaluation, metric: str) -> dict[str, float]:
    best = best_generator(evaluation, metric)
    return {best: round(_generator_means(evaluation, metric)[best], DIGITS)} if best else {}


def _generator_means(evaluation: Evaluation, metric: str) -> dict[str, float]:
    """By name, the mean of each generator alone over people with history."""
    rows = evaluation.per_person.filter((pl.col("group") == WARM) & (pl.col("system") != SLATES))
    return dict(rows.group_by("system").agg(pl.col(metric).mean()).sort("system").iter_rows())


def rounded(interval: Interval) -> dict[str, float]:
    """Its mean and ends as a report tells them."""
    return {name: round(value, DIGITS) for name, value in interval.to_json().items()}
