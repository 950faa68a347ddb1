"""A search for parameters as MLflow shows it: one parent run for the study, one child run for each trial.

The runs are in an experiment of their own, `<app>-tuning`, so that a list of releases stays one. A trial is logged
once, by its number: a run of it that was left half-done is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from contracts.home import Home
from release.registry.connection import RegistryConnection
from release.registry.experiments import experiment_id
from release.registry.figures import flat_metrics, flat_params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STUDY_TAG: Final = "slate.tuning"
TRIAL_TAG: Final = "slate.trial"
STATE_TAG: Final = "slate.trial_state"
PARENT_TAG: Final = "mlflow.parentRunId"  # MLflow's own: it nests by it
MOST_RUNS: Final = 10_000
STATUS_OF: Final = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


@dataclass(frozen=True)
class LoggedTrial:
    """One trial that is over. state: as Optuna names it; by_window: the mean over the windows so far, by number."""

    number: int
    state: str
    params: Mapping[str, float]
    value: float | None
    by_window: Mapping[int, float]
    seconds: float


class TuningRuns:
    """The runs of one study. Every call raises RegistryUnavailable or RegistryError as `Registry` does."""

    def __init__(self, home: Home, app: str, study: str, metric: str, fixed: Mapping[str, object]) -> None:
        """fixed: what all trials share, logged as parameters of the parent."""
        self._home, self._study, self._metric, self._fixed = home, study, metric, dict(fixed)
        self._connection = RegistryConnection(home)
        self._name = f"{app}-tuning"

    def log(self, trial: LoggedTrial) -> None:
        """Log a trial, unless it is logged already."""
        if trial.number in self._logged:
            return
        with self._connection.speaking() as client:
            tags = self._tags(f"trial {trial.number}") | {PARENT_TAG: self.parent_id, TRIAL_TAG: str(trial.number)}
            run = client.create_run(self._experiment, tags=tags | {STATE_TAG: trial.state})
            run_id = run.info.run_id
            for name, value in flat_params(trial.params).items():
                client.log_param(run_id, name, value)
            for window, mean in trial.by_window.items():
                client.log_metric(run_id, f"{self._metric}_so_far", mean, step=window)
            measured = {self._metric: trial.value, "seconds": trial.seconds}
            self._log_metrics(client, run_id, {name: value for name, value in measured.items() if value is not None})
            client.set_terminated(run_id, STATUS_OF[trial.state])
        self._logged.add(trial.number)

    def finish(self, figures: Mapping[str, object], result: str) -> None:
        """Say on the parent what came of it, and that it is over for now. result: a text, kept as an artefact."""
        with self._connection.speaking() as client:
            self._log_metrics(client, self.parent_id, figures)
            client.log_text(self.parent_id, result, "result.txt")
            client.set_terminated(self.parent_id)

    @property
    def page(self) -> str:
        """Where the parent can be looked at, in words."""
        if self._connection.is_remote:
            address = self._connection.address.rstrip("/")
            return f"{address}/#/experiments/{self._experiment}/runs/{self.parent_id}"
        return f"experiment {self._name}, run {self.parent_id}, in {self._connection.address}"

    @cached_property
    def parent_id(self) -> str:
        """The run of the study: the one of before where there is one."""
        with self._connection.speaking() as client:
            found = self._runs(client, f"tags.`{STUDY_TAG}` = '{self._study}'")
            parents = [run for run in found if PARENT_TAG not in run.data.tags]
            if parents:
                client.update_run(parents[0].info.run_id, status="RUNNING")
                return str(parents[0].info.run_id)
            run = client.create_run(self._experiment, tags=self._tags(f"tuning {self._study}"))
            for name, value in flat_params(self._fixed).items():
                client.log_param(run.info.run_id, name, value)
            return str(run.info.run_id)

    @cached_property
    def _experiment(self) -> str:
        return experiment_id(self._connection, self._home, self._name)

    @cached_property
    def _logged(self) -> set[int]:
        """The numbers of the trials that were logged before; those half-done are deleted."""
        numbers = set()
        with self._connection.speaking() as client:
            for run in self._runs(client, f"tags.`{PARENT_TAG}` = '{self.parent_id}'"):
                if run.info.status == "RUNNING":
                    client.delete_run(run.info.run_id)
                else:
                    numbers.add(int(run.data.tags[TRIAL_TAG]))
        return numbers

    def _runs(self, client: MlflowClient, which: str) -> list[Run]:
        return list(client.search_runs([self._experiment], which, max_results=MOST_RUNS))

    def _tags(self, name: str) -> dict[str, str]:
        return {
            STUDY_TAG: self._study,
            "mlflow.runName": name,
            "mlflow.source.name": "slate tune",
            "mlflow.source.type": "JOB",
        }

    def _log_metrics(self, client: MlflowClient, run_id: str, figures: Mapping[str, object]) -> None:
        moment = int(time.time() * 1000)
        for name, value in flat_metrics(figures).items():
            client.log_metric(run_id, name, value, timestamp=moment)
