"""The model registry (MLflow): one registered model per application, a version is a release.

The only other modules that call MLflow are its neighbours `registration` (logging a run), `stages` (what is
deprecated), `connection`, and `answering.pyfunc_model`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from contracts.errors import RegistryError
from contracts.home import Home
from release.registry import stages as registry_stages
from release.registry.connection import RegistryConnection, load_mlflow
from release.registry.model_description import is_ours, model_description
from release.registry.requests import TOKEN_TAG
from release.registry.state import ALIASES, RegistryState, RegistryUpdate, Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

RELEASE_TAG = "slate.release_id"
GENERATION_TAG = "slate.generation_id"
COMMIT_TAG = "slate.commit"
DIRTY_TAG = "slate.dirty"
DATA_TAG = "slate.data"
RELEASE_COMMIT_TAG = "slate.release_commit"  # the commit that gives the release back
COPY_TAG = "slate.copy_of"  # the version that this one is a copy of
FORMER_TAGS = ("slate.gate.", "slate.decision.stage", "slate.decision.ts", "slate.canary.")
HEAD_TAG = "slate.journal_head"  # on the model: the journal's last entry when it was written last
VERSION_TAGS = (RELEASE_TAG, GENERATION_TAG, COMMIT_TAG, DIRTY_TAG, DATA_TAG)
BUNDLE_ARTIFACT = "bundle"  # the name under which the pyfunc model holds the bundle

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Version:
    """One version of the application's model.

    release_id: empty for a version that `slate register` did not make. newly_registered: by the call that returned it.
    token: what somebody put on it to say who they are; it is no tag here, so that it is printed nowhere.
    """

    app: str
    number: int
    stage: Stage
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    description: str
    run_id: str
    source: str
    newly_registered: bool = False
    token: str = field(default="", repr=False)

    @property
    def release_id(self) -> str:
        return self.tags.get(RELEASE_TAG, "")

    @property
    def generation_id(self) -> str:
        return self.tags.get(GENERATION_TAG, "")

    @property
    def copy_of(self) -> int | None:
        """The version of the same model that this one was copied from, by MLflow's button "Promote model"."""
        copied = re.fullmatch(rf"models:/{re.escape(self.app)}/(\d+)", self.source or "")
        return int(copied[1]) if copied else None

    @property
    def commit(self) -> str:
        return self.tags.get(COMMIT_TAG, "")

    @property
    def release_commit(self) -> str:
        """The commit that gives the release back; empty where it was not recorded.

        `commit` is that of the code: releases that were built from the same code share it.
        """
        return self.tags.get(RELEASE_COMMIT_TAG, "")

    @property
    def dirty(self) -> bool:
        return self.tags.get(DIRTY_TAG) == "true"

    def to_json(self) -> dict[str, Any]:
        return {
            "app": self.app,
            "version": self.number,
            "stage": str(self.stage),
            "aliases": list(self.aliases),
            "release_id": self.release_id,
            "generation_id": self.generation_id,
            "commit": self.commit,
            "release_commit": self.release_commit,
            "dirty": self.dirty,
            "copy_of": self.copy_of,
            "run_id": self.run_id,
            "description": self.description,
            "tags": dict(self.tags),
            "newly_registered": self.newly_registered,
        }


class Registry:
    """The registered model of one application.

    Every call raises RegistryUnavailable when MLflow does not answer, and RegistryError when it says no.
    """

    def __init__(self, home: Home, app: str) -> None:
        self.home = home
        self.app = app
        self.connection = RegistryConnection(home)

    def versions(self) -> list[Version]:
        """Every version there is, lowest number first; none before the first registration."""
        with self.connection.speaking() as client:
            aliases = self._aliases(client)
            # Deleted versions do not come back from a search.
            raw_versions = client.search_model_versions(f"name='{self.app}'", max_results=10_000)
            versions = [_version_from(client, self.app, raw, aliases) for raw in raw_versions]
        return sorted(versions, key=lambda version: version.number)

    def state(self) -> RegistryState:
        """Where every version stands now."""
        return state_of(self.versions())

    def version(self, number: int) -> Version:
        """One version; raises RegistryError when there is no such number."""
        version = self.version_if_there(number)
        if version is not None:
            return version
        versions = {version.number: version for version in self.versions()}
        self.check_there(number, versions)
        return versions[number]  # it came since

    def version_if_there(self, number: int) -> Version | None:
        """One version; None when there is no such number."""
        if number < 1:
            return None  # MLflow calls it no number of a version
        with self.connection.speaking() as client:
            raw = _if_there(lambda: client.get_model_version(self.app, str(number)))
            return None if raw is None else _version_from(client, self.app, raw, dict.fromkeys(raw.aliases, number))

    def check_there(self, number: int, known: Collection[int]) -> None:
        """Raise RegistryError when the number is not among those of the versions that there are."""
        if number not in known:
            listed = ", ".join(map(str, known)) or "none"
            raise RegistryError(
                f"The model {self.app!r} at {self.connection.address} has no version {number}; it has {listed}.",
                "List them with `slate releases`, or make one: `dvc repro release`, then `slate register`.",
            )

    def by_release(self, release_id: str) -> Version | None:
        """The version that holds a release; a copy of one only where no other does."""
        holding = [version for version in self.versions() if version.release_id == release_id]
        return max(holding, key=lambda version: (version.copy_of is None, version.number), default=None)

    def write(self, before: RegistryState, after: RegistryState) -> None:
        """Set the stages and aliases that differ; those that are no longer as `before` are left to whoever set them."""
        planned = RegistryUpdate.between(before, after)
        if not planned:
            return
        now = self.state()
        update = planned.where_unchanged(before, now)
        with self.connection.speaking() as client:
            for number, stage in sorted(update.stages.items()):
                registry_stages.set_stage(client, self.app, number, stage)
            for alias, target in sorted(update.aliases.items()):
                self._set_alias(client, alias, target if target in now.stages else None)

    def annotate(self, version: Version, tags: Mapping[str, str], description: str) -> None:
        """Write tags and the description of one version, each that differs; tags it does not name stay.

        Tags that earlier releases of Slatework wrote, a gate each, are taken away: they tell of another decision.
        """
        number, known = str(version.number), version.tags
        with self.connection.speaking() as client:
            for name in sorted(name for name in known if name.startswith(FORMER_TAGS)):
                client.delete_model_version_tag(self.app, number, name)
            for name, value in sorted(tags.items()):
                if known.get(name) != value:
                    client.set_model_version_tag(self.app, number, name, value)
            if description != version.description:
                client.update_model_version(self.app, number, description)

    def run_page(self, version: Version) -> str:
        """The address of the version's run on MLflow's server; where there is none, of the database that has it."""
        if not self.connection.is_remote:
            return self.connection.address
        with self.connection.speaking() as client:
            experiment_id = client.get_run(version.run_id).info.experiment_id
        return f"{self.connection.address.rstrip('/')}/#/experiments/{experiment_id}/runs/{version.run_id}"

    def log_texts(self, version: Version, texts: Mapping[str, str]) -> None:
        """Keep texts as artifacts of the version's run, by their names; of a version without a run, nowhere."""
        if not texts or not version.run_id:
            return
        with self.connection.speaking() as client:
            for name, text in texts.items():
                # Where somebody deleted the run for good, the journal has the same.
                _if_there(partial(client.log_text, version.run_id, text, name))

    def write_journal_head(self, head: str) -> None:
        """Keep the journal's last entry outside the journal; before the first registration, nowhere."""
        with self.connection.speaking() as client:
            _if_there(lambda: client.set_registered_model_tag(self.app, HEAD_TAG, head))

    def journal_head(self) -> str | None:
        """What was kept last; None where nothing was."""
        if not self.connection.is_remote and not self.home.mlflow_database.exists():
            return None  # asking would make the database
        with self.connection.speaking() as client:
            model = self._model(client)
            return model.tags.get(HEAD_TAG) if model else None

    def take_token(self, number: int) -> None:
        """Take the token away from a version."""
        with self.connection.speaking() as client:
            client.delete_model_version_tag(self.app, str(number), TOKEN_TAG)

    def resolved(self, stage: Stage) -> int | None:
        """The version that `models:/<app>/<stage>` means to whoever loads it; None where it means none."""
        with self.connection.speaking() as client:
            return _if_there(lambda: registry_stages.resolved(client, self.app, stage))

    def download_bundle(self, version: Version, into: Path) -> Path:
        """Fetch the bundle that was logged with a version into a folder, and return where it lies."""
        with self.connection.speaking():
            # MLflow keeps a folder under its own name, which is the release id in the store it was logged from.
            uri = f"models:/{self.app}/{version.number}/artifacts/{version.release_id}"
            local = load_mlflow().artifacts.download_artifacts(
                artifact_uri=uri, dst_path=str(into), tracking_uri=self.connection.uri
            )
        return Path(local)

    def create_version(self, *, source: str, run_id: str, tags: Mapping[str, str], description: str) -> Version:
        """Register a logged model as the next version, its tags and description with it in one step."""
        with self.connection.speaking() as client:
            self._describe_model(client)
            raw = client.create_model_version(
                self.app, source, run_id, dict(tags), description=description, model_id=source.rpartition("/")[2]
            )
            return _version_from(client, self.app, raw, {}, newly_registered=True)

    def _describe_model(self, client: MlflowClient) -> None:
        """See that the registered model is there, and that its page says how to promote; somebody's own words stay."""
        model, description = self._model(client), model_description()
        if model is None:
            client.create_registered_model(self.app, description=description)
        elif model.description != description and (not model.description or is_ours(model.description)):
            client.update_registered_model(self.app, description)

    def _model(self, client: MlflowClient) -> RegisteredModel | None:
        """None before the first registration."""
        return _if_there(lambda: client.get_registered_model(self.app))

    def _aliases(self, client: MlflowClient) -> Mapping[str, int]:
        model = self._model(client)
        return {alias: int(number) for alias, number in model.aliases.items()} if model else {}

    def _set_alias(self, client: MlflowClient, alias: str, number: int | None) -> None:
        if number is None:
            client.delete_registered_model_alias(self.app, alias)
        else:
            client.set_registered_model_alias(self.app, alias, str(number))


def _if_there(ask: Callable[[], Answer]) -> Answer | None:
    """What MLflow answers; None where it knows nothing of that name or number."""
    try:
        return ask()
    except load_mlflow().exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def state_of(versions: Sequence[Version]) -> RegistryState:
    """The stages of these versions, and the aliases that spell production or staging in whatever case."""
    aliases = {alias: version.number for version in versions for alias in version.aliases}
    return RegistryState(
        {version.number: version.stage for version in versions},
        {alias: number for alias, number in aliases.items() if alias.lower() in ALIASES.values()},
    )


def _version_from(
    client: MlflowClient, app: str, raw: Any, aliases: Mapping[str, int], *, newly_registered: bool = False
) -> Version:
    number = int(raw.version)
    tags = dict(raw.tags)
    token = tags.pop(TOKEN_TAG, "")
    return Version(
        app=app,
        number=number,
        stage=registry_stages.stage_of(client, raw, aliases),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        tags=tags,
        description=raw.description or "",
        run_id=raw.run_id or "",
        source=raw.source,
        newly_registered=newly_registered,
        token=token,
    )
