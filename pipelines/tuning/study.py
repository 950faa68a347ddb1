"""The study: what was tried and how good it was, in a SQLite file that outlives whoever searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_json
from pipelines.tuning.search_space import Overrides, SearchSpace

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

BEFORE_PRUNING: Final = 4  # whole trials: of fewer, the median says little
RANDOM_FIRST: Final = 8  # before the sampler learns from them
PATIENCE_S: Final = 60  # for the file, while somebody else looks at it
OVERRIDES: Final = "overrides"
SECONDS: Final = "seconds"
WHY: Final = "why"

DAMAGED: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
BEGIN_ANEW: Final = "Move it away and run the same command again: the search begins anew, with all that was fitted."
GO_ON: Final = "Free disk space or mend the permissions, and run the same command again: it goes on."


@dataclass(frozen=True)
class TriedOverrides:
    """One trial. state: as Optuna names it; by_window: the mean over the windows so far, by the window's number."""

    number: int
    state: str
    overrides: Overrides
    value: float | None
    by_window: Mapping[int, float]
    seconds: float
    why: str


class TuningStudy:
    """One study of a file; the same name goes on with what was tried before."""

    def __init__(self, database: Path, name: str, space: SearchSpace, seed: int) -> None:
        """Open it, or begin it with the parameters as they are."""
        import optuna  # noqa: PLC0415 - takes a second, and one command needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        database.parent.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": PATIENCE_S}}
        )
        self.name, self._space = name, space
        self._study: Study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING),
        )
        # The same seed would draw again what it drew before the study was interrupted.
        drawn_before = len(self._study.trials)
        own_seed = int(fingerprint_json([seed, drawn_before]), 16) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_FIRST, seed=own_seed)
        self._begin_again()

    def _begin_again(self) -> None:
        """What somebody was interrupted at is asked again, first; what it had fitted is kept.

        Whoever is killed while a trial is drawn leaves some of its parameters: that was no trial yet.
        """
        from optuna.trial import TrialState  # noqa: PLC0415 - as above

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.set_user_attr(f"{WHY}_{trial.number}", "interrupted")
            if OVERRIDES in trial.user_attrs:
                self._study.enqueue_trial(dict(trial.params))
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        current = self._space.current()
        if current is not None and not waiting and not self.tried():
            self._study.enqueue_trial(dict(current))

    def ask(self) -> OpenTrial:
        """The parameters to try next."""
        trial = self._study.ask(self._space.distributions())
        overrides = self._space.overrides(trial.params)
        trial.set_user_attr(OVERRIDES, overrides)
        return OpenTrial(self._study, trial, overrides)

    def tried(self) -> list[TriedOverrides]:
        """Everything that was asked and is over, in order."""
        over = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]
        return [self._tried(trial) for trial in over if OVERRIDES in trial.user_attrs]

    def best(self, n: int) -> list[TriedOverrides]:
        """The whole trials with the highest values, each set of parameters once; the earlier of equals first."""
        whole = sorted((one for one in self.tried() if one.state == "COMPLETE"), key=lambda one: -(one.value or 0.0))
        distinct = {fingerprint_json(one.overrides): one for one in reversed(whole)}
        return [one for one in whole if distinct[fingerprint_json(one.overrides)] is one][:n]

    def _tried(self, trial: FrozenTrial) -> TriedOverrides:
        known: dict[str, Any] = trial.user_attrs
        return TriedOverrides(
            trial.number,
            trial.state.name,
            known[OVERRIDES],
            trial.value if trial.state.name == "COMPLETE" else None,
            dict(trial.intermediate_values),
            float(known.get(SECONDS, 0.0)),
            str(known.get(WHY) or self._study.user_attrs.get(f"{WHY}_{trial.number}", "")),
        )


@dataclass(frozen=True)
class OpenTrial:
    """One trial that goes on. overrides: the parameters to measure."""

    study: Study
    trial: Trial
    overrides: Overrides

    @property
    def number(self) -> int:
        return int(self.trial.number)

    def is_hopeless_after(self, window: int, mean: float) -> bool:
        """Whether the mean over the windows so far is below the median of what others had after as many."""
        self.trial.report(mean, window)
        return bool(self.trial.should_prune())

    def complete(self, value: float, seconds: float) -> None:
        self.trial.set_user_attr(SECONDS, seconds)
        self.study.tell(self.trial, value)

    def prune(self, seconds: float) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415 - as above

        self.trial.set_user_attr(SECONDS, seconds)
        self.study.tell(self.trial, state=TrialState.PRUNED)

    def fail(self, why: str, seconds: float) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415 - as above

        self.trial.set_user_attr(SECONDS, seconds)
        self.trial.set_user_attr(WHY, why)
        self.study.tell(self.trial, state=TrialState.FAIL)


@contextmanager
def errors_of(database: Path) -> Iterator[None]:
    """What the file refuses within the block (a full disk, damage, a folder that may not be written) is told as that.

    Raises WorkspaceError.
    """
    from optuna.exceptions import StorageInternalError  # noqa: PLC0415 - as above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = _first_cause(error)
        is_damaged = getattr(cause, "sqlite_errorname", "") in DAMAGED
        raise WorkspaceError(
            f"The study's file {database} cannot be read or written: {cause}.", BEGIN_ANEW if is_damaged else GO_ON
        ) from error


def _first_cause(error: BaseException) -> BaseException:
    """What the driver said, below what others made of it."""
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def study_name(app: str, of: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Names all that values of a study must share to be compared. of: data, code, windows, other parameters."""
    return f"{app}-{fingerprint_json({'of': dict(of), 'keys': sorted(keys)})[:12]}"
