"""`slate register`: a bundle becomes a run and a version in MLflow, once per release id.

One parent run per release, with parameters, metrics, reports and the model; one child run per stage, with its seconds
and memory. The parent's tag `slate.model_uri` is written last: runs of the release without it are half-finished, and
are thrown away by the next try. Importing this module imports MLflow, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]  # pandas publishes its types apart
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from contracts.file_lock import locked
from contracts.json_file import load_json
from contracts.progress import Progress
from release import answering
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import REBUILD, Manifest, load_manifest
from release.registry.experiments import experiment_id
from release.registry.figures import first_metrics, flat_metrics, flat_params, headline
from release.registry.registry import (
    BUNDLE_ARTIFACT,
    COMMIT_TAG,
    DATA_TAG,
    DIRTY_TAG,
    GENERATION_TAG,
    RELEASE_TAG,
    VERSION_TAGS,
    Registry,
    Version,
)

MODEL_TAG = "slate.model_uri"
MODEL_CODE = Path(answering.__file__).with_name("pyfunc_model.py")
# What the model needs to answer; named outright, for MLflow's own guess takes a minute and the network.
MODEL_REQUIREMENTS = ("mlflow", "faiss-cpu", "implicit", "lightgbm", "numpy", "pandas", "polars", "scipy")
QUICK_TREES = ("lignum", "pylignum")  # scores sooner; not on every platform: its module, and its package


@dataclass(frozen=True)
class RegistrationInputs:
    """What is registered. runs: the folder with `<stage>.json` of this workspace's last run; reports: plots and tables.

    commit: that is checked out; dirty: whether the bundle was built from other source than that commit's.
    """

    bundle: Path
    runs: Path
    reports: Path
    commit: str
    dirty: bool


def register(registry: Registry, inputs: RegistrationInputs) -> Version:
    """Keep the bundle, log it and register it; a release that is registered already is returned.

    One that was built from uncommitted source names the commit once the same source is committed.
    Killed at any point, the next call goes on or begins again. Raises ArtefactError for a bundle that is not sound.
    """
    manifest = load_manifest(inputs.bundle)
    lock = registry.home.root / "register.lock"
    with locked(lock), Progress(total=4, desc=f"register {manifest.release_id}") as progress:
        kept = BundleStore(registry.home).keep(inputs.bundle)
        progress.update()
        existing = registry.by_release(manifest.release_id)
        if existing is not None:
            progress.update(3)
            return _with_commit(registry, existing, inputs)
        return _Registration(registry, replace(inputs, bundle=kept), manifest).run(progress)


def register_again(registry: Registry, release_id: str) -> Version | None:
    """Make a new version of a release whose version was deleted, from the run it was logged in.

    Returns None where that run is gone as well.
    """
    with registry.connection.speaking() as client:
        experiment = client.get_experiment_by_name(registry.app)
    runs = _runs_of(registry, experiment.experiment_id, release_id) if experiment else []
    for run in runs:
        if MODEL_TAG in run.data.tags:
            tags = {name: value for name, value in run.data.tags.items() if name in VERSION_TAGS}
            source = run.data.tags[MODEL_TAG]
            description = f"Release {release_id}, registered again: its version was deleted while it was served."
            return registry.create_version(source=source, run_id=run.info.run_id, tags=tags, description=description)
    return None


def _with_commit(registry: Registry, version: Version, inputs: RegistrationInputs) -> Version:
    if not version.dirty or inputs.dirty:
        return version
    commit = {COMMIT_TAG: inputs.commit, DIRTY_TAG: "false"}
    registry.annotate(version, commit, version.description)
    return registry.version(version.number)


class _Registration:
    """The steps of registering one release that is not registered yet."""

    def __init__(self, registry: Registry, inputs: RegistrationInputs, manifest: Manifest) -> None:
        self._registry = registry
        self._inputs = inputs
        self._manifest = manifest
        self._tags = _version_tags(manifest, inputs)

    def run(self, progress: Progress) -> Version:
        registry = self._registry
        experiment = experiment_id(registry.connection, registry.home, registry.app)
        logged = self._logged_before(experiment)
        progress.update()
        run_id, model_uri = logged or self._log(experiment)
        progress.update()
        version = self._registry.create_version(
            source=model_uri,
            run_id=run_id,
            tags=self._tags,
            description=headline(self._manifest.release_id, self._manifest.metrics),
        )
        progress.update()
        return version

    def _logged_before(self, experiment: str) -> tuple[str, str] | None:
        """The run and model that an earlier call logged wholly; what one left half-done is deleted."""
        runs = _runs_of(self._registry, experiment, self._manifest.release_id)
        whole = [run for run in runs if MODEL_TAG in run.data.tags]
        if whole:
            return whole[0].info.run_id, whole[0].data.tags[MODEL_TAG]
        with self._registry.connection.speaking() as client:
            for run in runs:
                client.delete_run(run.info.run_id)
        return None

    def _log(self, experiment: str) -> tuple[str, str]:
        with self._registry.connection.speaking() as client:
            with self._run(experiment, f"release {self._manifest.release_id}", "slate register") as run:
                run_id = run.info.run_id
                self._log_stages(experiment)
                self._log_figures(client, run_id)
                model_uri = _log_model(self._inputs.bundle, self._manifest)
            client.set_tag(run_id, MODEL_TAG, model_uri)
        return run_id, model_uri

    @contextmanager
    def _run(self, experiment: str, name: str, source: str, *, nested: bool = False) -> Iterator[Run]:
        tags = {
            **self._tags,
            "mlflow.source.git.commit": self._inputs.commit,
            "mlflow.source.name": source,  # MLflow would name the path of this program
            "mlflow.source.type": "JOB",
        }
        with mlflow.start_run(experiment_id=experiment, run_name=name, nested=nested, tags=tags) as run:
            yield run

    def _log_stages(self, experiment: str) -> None:
        for record in _stage_records(self._inputs.runs):
            stage = str(record["stage"])
            with self._run(experiment, f"{stage} of {self._manifest.release_id}", f"dvc repro {stage}", nested=True):
                mlflow.log_metrics(flat_metrics(record))
                mlflow.log_dict(record, "record.json")

    def _log_figures(self, client: MlflowClient, run_id: str) -> None:
        mlflow.log_params(flat_params(self._manifest.params))
        card = load_json(self._inputs.bundle / "evaluation.json", REBUILD)
        mlflow.log_metrics(first_metrics(self._manifest.metrics) | flat_metrics(card))
        for folder, name in ((self._inputs.reports, "reports"), (self._inputs.runs / "validation", "validation")):
            if folder.is_dir():
                client.log_artifacts(run_id, str(folder), name)


def _runs_of(registry: Registry, experiment_id: str, release_id: str) -> list[Run]:
    with registry.connection.speaking() as client:
        return list(client.search_runs([experiment_id], f"tags.`{RELEASE_TAG}` = '{release_id}'"))


def _log_model(bundle: Path, manifest: Manifest) -> str:
    """Log the model from its code (no pickle); it loads inside the project's environment, so no code is copied."""
    info = mlflow.pyfunc.log_model(
        name=manifest.release_id,
        python_model=str(MODEL_CODE),
        artifacts={BUNDLE_ARTIFACT: str(bundle)},
        signature=_signature(),
        input_example=pd.DataFrame({"user_id": ["42"], "k": [10]}),
        pip_requirements=_pinned_requirements(),
    )
    return str(info.model_uri)


def _pinned_requirements() -> list[str]:
    module, package = QUICK_TREES
    names = (*MODEL_REQUIREMENTS, package) if find_spec(module) else MODEL_REQUIREMENTS
    return [f"{name}=={installed_version(name)}" for name in names]


def _signature() -> ModelSignature:
    answer = {
        "user_id": "string",
        "position": "long",
        "item_id": "string",
        "title": "string",
        "score": "double",
        "tier": "string",
        "source": "string",
        "release_id": "string",
    }
    # Whatever column is not named here MLflow drops without a word.
    options = {"k": "long", "filter": "string", "placement": "string"}
    question: list[ColSpec | TensorSpec] = [ColSpec("string", "user_id")]
    question += [ColSpec(kind, name, required=False) for name, kind in options.items()]
    return ModelSignature(Schema(question), Schema([ColSpec(kind, name) for name, kind in answer.items()]))


def _version_tags(manifest: Manifest, inputs: RegistrationInputs) -> dict[str, str]:
    return {
        RELEASE_TAG: manifest.release_id,
        GENERATION_TAG: manifest.generation_id,
        COMMIT_TAG: inputs.commit,
        DIRTY_TAG: str(inputs.dirty).lower(),
        DATA_TAG: ",".join(f"{table}={value}" for table, value in sorted(manifest.data.items())),
    }


def _stage_records(folder: Path) -> list[dict[str, Any]]:
    """What the stages recorded of their last run, in the order of their files; files of another kind are left out."""
    records = [load_json(path, REBUILD) for path in sorted(folder.glob("*.json"))]
    return [record for record in records if "stage" in record]
