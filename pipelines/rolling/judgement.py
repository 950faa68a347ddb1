"""Parameters judged on rolling windows: fitted in each with several seeds, and compared on the same people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from contracts.errors import WrongInput
from contracts.fingerprint import fingerprint_json
from contracts.settings.settings import Settings
from contracts.spark_session import check_spark
from contracts.tables import CanonicalTables
from pipelines.rolling.kept_fits import KeptFits
from pipelines.rolling.window_fit import WindowData, per_person_on, window_data
from recommender.exclusion import ExclusionRule
from recommender.generators.factors_on_spark import ASKED_BY_AND_INSTEAD
from recommender.generators.sets import guests_wanted
from recommender.judging.windows import OverWindows, over_windows
from recommender.split import TimeSplit, rolling_splits
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES

AS_THEY_ARE: Final = "params.yaml"  # the parameters of the file, beside those that are tried
WHO: Final = ("variant", "window", "group", "system", "user_id")
Fit = tuple[str, int, int]  # of a variant, on a window, with a seed
Judged = Callable[[Sequence[Fit]], Iterable[Fit]]


@dataclass(frozen=True)
class Windows:
    """Which of the rolling windows are looked at. numbers: from 1 on, oldest first; the last one is the test window."""

    splits: tuple[TimeSplit, ...]
    numbers: tuple[int, ...]

    @classmethod
    def choosing(cls, tables: CanonicalTables, settings: Settings) -> Windows:
        """All but the last: those that parameters may be chosen on."""
        splits = rolling_splits(tables.interactions, settings.features, settings.rolling.n_windows)
        return cls(splits[:-1], tuple(range(1, len(splits))))

    @classmethod
    def last(cls, tables: CanonicalTables, settings: Settings) -> Windows:
        """The test window alone, which chooses nothing."""
        splits = rolling_splits(tables.interactions, settings.features, settings.rolling.n_windows)
        return cls(splits[-1:], (len(splits),))

    def split_of(self, number: int) -> TimeSplit:
        """Of one window."""
        return self.splits[self.numbers.index(number)]

    def bounds(self) -> dict[int, tuple[datetime, datetime]]:
        """By number, where each starts and ends."""
        return {
            number: (split.test_start, split.as_of) for number, split in zip(self.numbers, self.splits, strict=True)
        }


def judge(
    variants: Mapping[str, Settings],
    tables: CanonicalTables,
    windows: Windows,
    seeds: Sequence[int],
    progress: Judged = iter,
    kept: KeptFits | None = None,
) -> pl.DataFrame:
    """Every metric of every person, a mean over the seeds: variant, window, group, system, user_id, and the metrics.

    variants: parameters by name, which share windows and seeds. kept: what was fitted before.
    Raises WrongInput where they exclude differently, EngineMissing where one asks for Spark or for a guest's
    environment and there is none, else as the stages.
    """
    _check_exclusion(variants)
    check_engines(variants.values())
    fits = [(name, number, seed) for number in windows.numbers for name in variants for seed in seeds]
    fitter = WindowFitter(tables, windows, kept or KeptFits.nothing())
    rows = list(_rows_of_fits(variants, fitter, progress(fits)))
    metrics = [name for name in pl.concat(rows, how="diagonal").columns if "_at_" in name or name.endswith("recall")]
    every = pl.concat(rows, how="diagonal").group_by(WHO, maintain_order=True)
    return every.agg(pl.col(metrics).mean(), seeds=pl.col(metrics[0]).count())


def check_engines(variants: Iterable[Settings]) -> None:
    """Raise EngineMissing, before anything is fitted: the parameters as they are come first, and take minutes."""
    for one in variants:
        if one.features.engine == "spark":
            check_spark()
        if one.candidates.als.engine == "spark":
            check_spark(*ASKED_BY_AND_INSTEAD)
        for guest in guests_wanted(one.candidates):
            guest.environment.check_made(guest.parameter)


def _check_exclusion(variants: Mapping[str, Settings]) -> None:
    rules = {ExclusionRule.of(one.request.excluding_events, one.request.excluded_days) for one in variants.values()}
    if len(rules) > 1:
        raise WrongInput(
            f"{' and '.join(variants)} exclude differently (request.excluding_events, request.excluded_days): what "
            "counts as wanted would differ, and with it the questions that each is measured on.",
            "Build a release under each rule, and hold them side by side: `slate compare A B`.",
        )


@dataclass
class WindowFitter:
    """Fits and measures on windows; the features of the latest window asked for are held for the next fit on it."""

    tables: CanonicalTables
    windows: Windows
    kept: KeptFits
    _held: dict[tuple[int, str], WindowData] = field(default_factory=dict)

    def per_person(self, settings: Settings, number: int, seed: int) -> pl.DataFrame:
        """Every metric of everybody in a window, of models fitted before it."""
        split = self.windows.split_of(number)
        return per_person_on(settings, split, partial(self._data, settings, number), seed, self.kept)

    def _data(self, settings: Settings, number: int) -> WindowData:
        key = (number, settings.features.model_dump_json())
        if key not in self._held:
            self._held = {other: data for other, data in self._held.items() if other[0] == number}
            self._held[key] = window_data(settings, self.tables, self.windows.split_of(number), self.kept)
        return self._held[key]


def _rows_of_fits(
    variants: Mapping[str, Settings], fitter: WindowFitter, fits: Iterable[Fit]
) -> Iterator[pl.DataFrame]:
    """The rows of each fit."""
    for name, number, seed in fits:
        about = {"variant": pl.lit(name), "window": pl.lit(number), "seed": pl.lit(seed)}
        yield fitter.per_person(variants[name], number, seed).with_columns(**about)


@dataclass(frozen=True)
class Comparer:
    """Reads means and paired differences off what `judge` measured. n_resamples, seed: of the intervals."""

    measured: pl.DataFrame
    n_resamples: int
    seed: int

    def mean(self, metric: str, system: str = SLATES, group: str = WARM, variant: str = AS_THEY_ARE) -> OverWindows:
        """Of one metric of one system."""
        rows = self._rows(variant, group, system, metric)
        return self._over_windows([(people, values) for people, values in rows.values()], variant, group, system)

    def gain_over(self, metric: str, rival: str) -> OverWindows:
        """Of the slates over a generator alone, on the same people with a history."""
        return self._difference((AS_THEY_ARE, WARM, SLATES), (AS_THEY_ARE, WARM, rival), metric)

    def gain_of(self, variant: str, metric: str, group: str = WARM) -> OverWindows:
        """Of the slates of other parameters over those of the file, on the same people of a group."""
        return self._difference((variant, group, SLATES), (AS_THEY_ARE, group, SLATES), metric)

    def n_people(self, window: int) -> int:
        """With a history, in one window."""
        chosen = (pl.col("window") == window) & (pl.col("group") == WARM) & (pl.col("system") == SLATES)
        return self.measured.filter(chosen)["user_id"].n_unique()

    def generators(self) -> list[str]:
        """Those that were judged alone in every window."""
        mine = self.measured.filter((pl.col("group") == WARM) & (pl.col("variant") == AS_THEY_ARE))
        n_windows = mine["window"].n_unique()
        there = mine.group_by("system").agg(pl.col("window").n_unique()).filter(pl.col("window") == n_windows)
        return sorted(set(there["system"]) - {SLATES})

    def groups(self) -> list[str]:
        """The groups of people that are in every window."""
        n_windows = self.measured["window"].n_unique()
        there = self.measured.group_by("group", maintain_order=True).agg(pl.col("window").n_unique())
        return there.filter(pl.col("window") == n_windows)["group"].to_list()

    def _difference(self, ours: tuple[str, str, str], theirs: tuple[str, str, str], metric: str) -> OverWindows:
        first, second = self._rows(*ours, metric), self._rows(*theirs, metric)
        windows = []
        for number, (people, values) in first.items():
            others, their_values = second[number]
            if people != others:
                raise ValueError(f"{ours} and {theirs} were not measured on the same people of window {number}")
            windows.append((people, values - their_values))
        return self._over_windows(windows, *ours, *theirs)

    def _rows(self, variant: str, group: str, system: str, metric: str) -> dict[int, tuple[list[str], Any]]:
        """By window, the people in the order of their ids, and their values."""
        chosen = (pl.col("variant") == variant) & (pl.col("group") == group) & (pl.col("system") == system)
        rows = self.measured.filter(chosen).drop_nulls(metric).sort("window", "user_id")
        return {
            int(str(number)): (mine["user_id"].to_list(), mine[metric].to_numpy())
            for (number,), mine in rows.group_by("window", maintain_order=True)
        }

    def _over_windows(self, windows: Sequence[tuple[list[str], Any]], *names: str) -> OverWindows:
        rng = np.random.default_rng(int(fingerprint_json([self.seed, *names]), 16))
        return over_windows(windows, rng, self.n_resamples)
