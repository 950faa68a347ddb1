"""The search: trial after trial, window by window, until the time is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import polars as pl

from contracts.errors import SlateworkError
from contracts.settings.settings import Settings
from pipelines.rolling.judgement import WindowFitter
from pipelines.rolling.kept_fits import MEASURED, code_of_step
from pipelines.runs.overrides import overridden_settings
from pipelines.tuning.study import OpenTrial, TriedOverrides, TuningStudy
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES

MOST_FAILURES: Final = 5  # one after the other: what is wrong is then not the parameters
KEPT_WITHIN_S: Final = 1.0  # a trial that takes less was measured before, and says nothing of the next
Seconds = Callable[[], float]  # of a clock that only goes forward
Told = Callable[[str], None]


class Log(Protocol):
    """Where trials are logged besides the study."""

    def log(self, tried: TriedOverrides) -> None:
        """Keep one trial that is over."""
        ...


@dataclass
class Search:
    """Tries parameters. params: the file's bytes; fitter: of the windows that may choose; seed: of the fits.

    now: a clock in seconds; begin: is told what is done next; guess_s: what a trial takes, as long as none was timed.
    """

    study: TuningStudy
    params: bytes
    fitter: WindowFitter
    metric: str
    seed: int
    now: Seconds
    begin: Told
    guess_s: float = 0.0
    _seconds: list[float] = field(default_factory=list)

    def until(self, end: float, log: Log, tell: Told, reserved: Callable[[float], float] = lambda _: 0.0) -> None:
        """Trial after trial, one at least in a new study; none begins that would probably end too late.

        reserved: of what a trial usually takes, the seconds before the end that are kept for something else.
        Raises what a trial raised where MOST_FAILURES fail in a row.
        """
        n_failed = 0
        while not self.study.tried() or self._seconds_left(end, reserved) >= self.usual_seconds:
            trial = self.study.ask()
            failure = self._try(trial)
            n_failed = n_failed + 1 if failure else 0
            tried = next(one for one in self.study.tried() if one.number == trial.number)
            log.log(tried)
            tell(self._line(tried, self._seconds_left(end, reserved)))
            if failure and n_failed >= MOST_FAILURES:
                raise failure

    def value_on(self, settings: Settings, window: int) -> float:
        """The mean of the metric over the people with a history of one window."""
        rows = self.fitter.per_person(settings, window, self.seed)
        mine = rows.filter((pl.col("group") == WARM) & (pl.col("system") == SLATES))
        return float(mine.select(pl.col(self.metric).mean()).item())

    def _try(self, trial: OpenTrial) -> SlateworkError | None:
        began = self.now()
        try:
            self._measure(trial, began)
        except SlateworkError as error:
            trial.fail(f"{type(error).__name__}: {error.problem}", self.now() - began)
            return error
        finally:
            took = self.now() - began
            self._seconds += [took] if took >= KEPT_WITHIN_S else []
        return None

    def _measure(self, trial: OpenTrial, began: float) -> None:
        settings = overridden_settings(self.params, trial.overrides)
        values: list[float] = []
        for window in self.fitter.windows.numbers:
            self.begin(f"trial {trial.number}, window {window}")
            values.append(self.value_on(settings, window))
            mean = sum(values) / len(values)
            if trial.is_hopeless_after(window, mean) and window != self.fitter.windows.numbers[-1]:
                trial.prune(self.now() - began)
                return
        trial.complete(mean, self.now() - began)

    @property
    def usual_seconds(self) -> float:
        """What a trial of this session took, pruned ones included; a guess, or 0, before one was timed."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else self.guess_s

    def _seconds_left(self, end: float, reserved: Callable[[float], float]) -> float:
        return end - reserved(self.usual_seconds) - self.now()

    def _line(self, last: TriedOverrides, left_s: float) -> str:
        """How the last trial went, what is best so far, and how many more there is time for."""
        left = max(0.0, left_s)
        best = self.study.best(1)
        so_far = f"best {best[0].value:.4f} (trial {best[0].number})" if best else "none is whole yet"
        usual = self.usual_seconds
        more = f", about {int(left / usual)} more" if usual >= KEPT_WITHIN_S else ""
        return f"trial {last.number}: {_outcome(last)}; {so_far}; {left / 60:.0f} min left{more}"


def _outcome(one: TriedOverrides) -> str:
    if one.value is not None:
        return f"{one.value:.4f} in {one.seconds:.0f} s"
    n_windows = len(one.by_window)
    return f"given up after {n_windows} windows" if one.state == "PRUNED" else f"failed: {one.why}"


def comparable_with(settings: Settings, keys: list[str], fitter: WindowFitter, seed: int) -> Mapping[str, Any]:
    """What two trials must share so that their values can be compared: all but the parameters that are searched."""
    groups = ("features", "candidates", "index", "ranking", "request", "evaluate")
    fixed = {group: _without(getattr(settings, group).model_dump(mode="json"), f"{group}.", keys) for group in groups}
    return {
        "data": fitter.kept.data,
        "code": code_of_step(MEASURED),
        "windows": [split.to_json() for split in fitter.windows.splits],
        "params": fixed,
        "seeds": [settings.seed, seed],
    }


def _without(values: Mapping[str, Any], prefix: str, keys: list[str]) -> dict[str, Any]:
    return {
        name: _without(value, f"{prefix}{name}.", keys) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if f"{prefix}{name}" not in keys
    }
