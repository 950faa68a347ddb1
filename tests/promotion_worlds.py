"""A studio to promote releases in: real MLflow (SQLite), real Redis, bundles that differ in a figure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from contracts.home import Home
from contracts.settings import Settings, load_settings
from feature_store.connection import connect
from feature_store.pointer import Pointer, read_pointer
from release import registry_stages
from release.journal import Action, Entry, Phase
from release.manifest import list_files, load_manifest
from release.parts import name_parts
from release.promotion import Promoter
from release.registration import Sources, register
from release.registry import Registry, Version
from release.registry_state import Stage

CHECKOUT = Path(__file__).resolve().parent.parent
COMMIT = "c0ffee" * 6 + "c0ff"
FOREIGN_WARNINGS = [
    # MLflow 3.17's own queries use a loader that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
    # MLflow says of a class of its own, while it imports, that a field of it is typed Any.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    # MLflow 3.17 writes its input example in a way that pandas 3 announces to change.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
]


def settings_of_tests() -> Settings:
    """The checkout's parameters."""
    return load_settings(CHECKOUT / "params.yaml")


def variant(
    base: Path,
    folder: Path,
    *,
    evaluation: Mapping[str, Any] | None = None,
    spoilt: tuple[str, str, str] | None = None,
    note: str = "",
) -> Path:
    """A copy of a bundle that is another release, and whole: with other figures, another code, or a file that is wrong.

    spoilt: a file of the bundle, and what is replaced by what in it.
    """
    shutil.copytree(base, folder)
    manifest = load_manifest(folder)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    if spoilt:
        name, old, new = spoilt
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    name_parts(folder)
    replace(manifest, code=manifest.code + note, files=list_files(folder)).save(folder)
    return folder


def measured(bundle: Path, ndcg: float) -> dict[str, Any]:
    """The bundle's evaluation card, as if its slates had this NDCG@10."""
    card: dict[str, Any] = json.loads((bundle / "evaluation.json").read_text())
    card["headline"] |= {"ndcg_at_10": ndcg, "popular": 0.2, "popular_recent": 0.25}
    return card


def register_bundle(home: Home, bundle: Path, runs: Path, *, dirty: bool = False) -> Version:
    """Register a bundle as `slate register` does."""
    registry = Registry(home, settings_of_tests().app)
    return register(registry, Sources(bundle, runs, runs / "no-reports", COMMIT, dirty))


@dataclass(frozen=True)
class Studio:
    """One application with its registry, journal and online store, seen from outside."""

    home: Home
    settings: Settings
    redis_url: str

    @property
    def promoter(self) -> Promoter:
        """A new one each time, as a new process has."""
        return Promoter.open(self.settings, self.home)

    @property
    def registry(self) -> Registry:
        return Registry(self.home, self.settings.app)

    @property
    def app(self) -> str:
        return self.settings.app

    def set_stage(self, version: int, stage: Stage) -> None:
        """What somebody does in the MLflow UI, without ticking 'archive the others'."""
        with self.registry.connection.speaking() as client:
            registry_stages.set_stage(client, self.app, version, stage)

    def set_alias(self, alias: str, version: int) -> None:
        """What somebody does in the MLflow UI."""
        with self.registry.connection.speaking() as client:
            client.set_registered_model_alias(self.app, alias, str(version))

    def delete_alias(self, alias: str) -> None:
        """What somebody does in the MLflow UI."""
        with self.registry.connection.speaking() as client:
            client.delete_registered_model_alias(self.app, alias)

    def delete_version(self, version: int) -> None:
        """What somebody does in the MLflow UI."""
        with self.registry.connection.speaking() as client:
            client.delete_model_version(self.app, str(version))

    def pointer(self) -> Pointer | None:
        """What servers follow."""
        with connect(self.redis_url) as client:
            return read_pointer(client, self.app)

    def flush(self) -> None:
        """Redis loses everything."""
        with connect(self.redis_url) as client:
            client.flushall()

    def served(self) -> int | None:
        """The number of the version whose release is served."""
        pointer = self.pointer()
        version = self.registry.by_release(pointer.release_id) if pointer else None
        return version.number if version else None

    def stages(self) -> dict[int, str]:
        """What MLflow shows, as plain words."""
        return {number: str(stage) for number, stage in self.registry.state().stages.items()}

    def aliases(self) -> dict[str, int]:
        return dict(self.registry.state().aliases)

    def journal(self, *actions: Action) -> list[tuple[Action, Phase, int | None]]:
        """The entries about these actions (all of them without any)."""
        return [(entry.action, entry.phase, entry.version) for entry in self.entries(*actions)]

    def entries(self, *actions: Action) -> list[Entry]:
        """The entries about these actions, whole."""
        return [entry for entry in self.promoter.journal.entries() if not actions or entry.action in actions]
