"""One session of tuning: search until the time is up, judge the best with every seed, and choose by the rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from contracts.counted import counted
from contracts.errors import RegistryError, WrongInput
from contracts.file_lock import locked
from contracts.home import Home
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.rolling.figures import told_metrics
from pipelines.rolling.judgement import AS_THEY_ARE, Comparer, WindowFitter, Windows, check_engines, judge
from pipelines.rolling.kept_fits import KeptFits
from pipelines.runs.overrides import overridden_settings
from pipelines.tuning.choice import Finalist, finalist_json, finalists, winner_among
from pipelines.tuning.search import KEPT_WITHIN_S, Search, Seconds, Told, comparable_with
from pipelines.tuning.search_space import Overrides, SearchSpace
from pipelines.tuning.study import TriedOverrides, TuningStudy, errors_of, study_name
from release.registry.tuning_runs import LoggedTrial, TuningRuns

MOST_FINALISTS: Final = 3
FOR_JUDGING: Final = 0.5  # of the time, at most: the rest is for the search


@dataclass(frozen=True)
class TuneRequest:
    """What is asked of a session. only: parameters, or groups of them; all that have a range without.

    Raises WrongInput where the minutes are no number: words such as `inf` are read as one.
    """

    minutes: float
    only: tuple[str, ...] = ()
    n_seeds: int = 3

    def __post_init__(self) -> None:
        if not math.isfinite(self.minutes):
            raise WrongInput(f"A search takes minutes; found is {self.minutes}.", "Say how many: `--minutes 600`.")


@dataclass(frozen=True)
class Tuned:
    """What a session came to. baseline: the metric of the parameters as they are, a mean over windows, one seed.

    changes: what the winner has otherwise than the file; empty without one.
    """

    study: str
    metric: str
    keys: Sequence[str]
    windows: Sequence[int]
    seeds: Sequence[int]
    baseline: float
    tried: Sequence[TriedOverrides]
    finalists: Sequence[dict[str, Any]]
    winner: str | None
    changes: Overrides
    mlflow: str

    def count(self, state: str) -> int:
        return sum(one.state == state for one in self.tried)


@dataclass(frozen=True)
class TuneSession:
    """A session on some data. params: the bytes of params.yaml, which `settings` were read from.

    now: a clock in seconds; tell: takes a line for people; begin: takes the step that begins.
    """

    settings: Settings
    params: bytes
    tables: CanonicalTables
    kept: KeptFits
    home: Home
    now: Seconds
    tell: Told
    begin: Told

    def run(self, request: TuneRequest) -> Tuned:
        """Search, judge, choose; interrupted at any moment, the same request goes on.

        Raises Busy where somebody else searches in the same study; WrongInput where `only` names nothing that is tuned;
        WorkspaceError where the study's file cannot be read or written; EngineMissing as `judge`.
        """
        check_engines([self.settings])
        space = SearchSpace.of(self.settings, request.only)
        windows = Windows.choosing(self.tables, self.settings)
        fitter = WindowFitter(self.tables, windows, self.kept.saving(space.steps_shared()))
        of = comparable_with(self.settings, space.keys, fitter, self.settings.seed)
        name = study_name(self.settings.app, of, space.keys)
        busy = "Another `slate tune` searches in this study: wait for it, or end it."
        database = self.home.tuning / f"{self.settings.app}.db"
        with locked(self.home.tuning / f"{name}.lock", 1.0, busy), errors_of(database):
            study = TuningStudy(database, name, space, self.settings.seed)
            log = StudyLog(study, TuningRuns(self.home, self.settings.app, name, self._metric, of["params"]), self.tell)
            try:
                return self._search_and_choose(request, space, fitter, study, log)
            except KeyboardInterrupt:
                kept = counted(len(study.tried()), "trial is", "trials are")
                self.tell(f"{kept} kept; the same command goes on")
                raise

    @property
    def _metric(self) -> str:
        return f"ndcg_at_{self.settings.evaluate.cutoffs[0]}"

    def _search_and_choose(
        self, request: TuneRequest, space: SearchSpace, fitter: WindowFitter, study: TuningStudy, log: StudyLog
    ) -> Tuned:
        began, numbers = self.now(), fitter.windows.numbers
        seeds = [self.settings.seed + step for step in range(request.n_seeds)]
        search = Search(study, self.params, fitter, self._metric, self.settings.seed, self.now, self.begin)
        self.begin("the parameters as they are, with every seed")
        for seed in seeds[1:]:  # they are needed in the end, and what they fit serves the finalists
            for number in numbers:
                fitter.per_person(self.settings, number, seed)
        baseline = sum(search.value_on(self.settings, number) for number in numbers) / len(numbers)
        search.guess_s = (self.now() - began) / len(seeds)
        self.tell(f"study {study.name}: {len(study.tried())} trials so far; params.yaml stands at {baseline:.4f}")
        if search.guess_s >= KEPT_WITHIN_S:
            self.tell(_judging_line(request, search.guess_s))
        search.until(began + 60 * request.minutes, log, self.tell, partial(_judging_seconds, request))
        self.begin("the best are judged with every seed")
        best = [
            one
            for one in study.best(_n_finalists(request, search.usual_seconds))
            if one.value is not None and one.value > baseline
        ]
        judged, told = self._judge(best, fitter.windows, seeds)
        winner = winner_among(judged)
        tuned = Tuned(
            study.name, self._metric, space.keys, numbers, seeds, baseline, study.tried(), told,
            winner.name if winner else None, self._changes(space, winner.overrides) if winner else {}, log.page,
        )  # fmt: skip
        log.finish(tuned)
        return tuned

    def _changes(self, space: SearchSpace, overrides: Overrides) -> Overrides:
        """What they have otherwise than the parameters as they are."""
        current = {one.key: one.current for one in space.parameters}
        return {key: value for key, value in overrides.items() if value != current[key]}

    def _judge(
        self, best: Sequence[TriedOverrides], windows: Windows, seeds: Sequence[int]
    ) -> tuple[list[Finalist], list[dict[str, Any]]]:
        if not best:
            return [], []
        tried = {
            f"trial {one.number}": (one.overrides, overridden_settings(self.params, one.overrides)) for one in best
        }
        variants = {AS_THEY_ARE: self.settings} | {name: settings for name, (_, settings) in tried.items()}
        measured = judge(variants, self.tables, windows, seeds, kept=self.kept)
        comparer = Comparer(measured, self.settings.evaluate.n_bootstrap, self.settings.seed)
        found = finalists(comparer, tried, self._metric, len(windows.numbers))
        return found, [finalist_json(one, comparer, told_metrics(self.settings)) for one in found]


def _n_finalists(request: TuneRequest, trial_s: float) -> int:
    """How many are judged with the other seeds, in FOR_JUDGING of the time; one at least."""
    each_s = trial_s * (request.n_seeds - 1)
    if not each_s or not request.minutes:  # without time to search, those are judged that were judged before
        return MOST_FINALISTS
    return min(max(int(60 * request.minutes * FOR_JUDGING / each_s), 1), MOST_FINALISTS)


def _judging_line(request: TuneRequest, trial_s: float) -> str:
    """How long judging one finalist takes, which the minutes do not end."""
    minutes = trial_s * (request.n_seeds - 1) / 60
    return f"judging one of the best takes about {minutes:.1f} min, and is not left out where --minutes are fewer"


def _judging_seconds(request: TuneRequest, trial_s: float) -> float:
    return _n_finalists(request, trial_s) * trial_s * (request.n_seeds - 1)


@dataclass
class StudyLog:
    """Logs the trials of a study in MLflow; where that is away, those are logged with the next one that is not."""

    study: TuningStudy
    runs: TuningRuns
    tell: Told
    _is_away: bool = field(default=False)

    def log(self, _tried: TriedOverrides) -> None:
        self._speak(self._log_all)

    def _log_all(self) -> None:
        for one in self.study.tried():
            self.runs.log(LoggedTrial(one.number, one.state, one.overrides, one.value, one.by_window, one.seconds))

    def finish(self, tuned: Tuned) -> None:
        """Log what is not logged yet, and what came of it."""
        gains = {one["name"]: one["gain"] for one in tuned.finalists}
        figures: Mapping[str, object] = {"baseline": tuned.baseline, "n_trials": len(tuned.tried), "gain": gains}
        result = tuned.winner or "no winner"

        def finish() -> None:
            self._log_all()
            self.runs.finish(figures, f"{result}\n{tuned.changes}\n")

        self._speak(finish)

    @property
    def page(self) -> str:
        """Where it is shown; empty while MLflow is away."""
        told: list[str] = []
        self._speak(lambda: told.append(self.runs.page))
        return told[0] if told else ""

    def _speak(self, say: Callable[[], None]) -> None:
        try:
            say()
            self._is_away = False
        except RegistryError as error:
            if not self._is_away:
                self.tell(f"MLflow: {error.problem} The trials are in the study, and are logged once it answers.")
            self._is_away = True
