"""A studio to promote releases in: real MLflow (SQLite), real Redis, bundles that differ in one thing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.home import Home
from contracts.settings.settings import Settings, load_settings
from contracts.tables import write_parquet
from feature_store.online.connection import connect
from feature_store.online.pointer import Pointer, read_pointer
from feature_store.values.values import FeatureValues, load_schemas
from recommender.ranking.ranker import Ranker
from release.bundle.bundle import EVALUATION, FEATURES, MEASURED, RULES, FittedArtefacts, load_rules, measured_with
from release.bundle.manifest import list_files, load_manifest
from release.bundle.parts import BUILT_WITH, name_parts
from release.evaluation.cases import WARM
from release.evaluation.measured_window import CASES
from release.journal.entries import Action, Entry, Phase
from release.promotion.promotion import Promoter
from release.registry import stages as registry_stages
from release.registry.registration import RegistrationInputs, register
from release.registry.registry import Registry, Version
from release.registry.state import Stage
from tests.restored_folder import restore

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


@cache
def settings_of_tests() -> Settings:
    """The checkout's parameters, with latency that never decides: these releases are timed on a query or two."""
    settings = load_settings(CHECKOUT / "params.yaml")
    return settings.model_copy(update={"promotion": settings.promotion.model_copy(update={"max_p99_ratio": 60_000.0})})


def variant(
    base: Path,
    folder: Path,
    *,
    change: Callable[[Path], None] | None = None,
    spoilt: tuple[str, str, str] | None = None,
    note: str = "",
    **described: Any,
) -> Path:
    """A copy of a bundle that is another release, and whole: with another code, or with something in it that is wrong.

    change: what is done to the copy; spoilt: a file of the bundle, and what is replaced by what in it; described:
    fields of the manifest.
    """
    shutil.copytree(base, folder)
    manifest = load_manifest(folder)
    if change:
        change(folder)
    if spoilt:
        name, old, new = spoilt
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    _rename_measured(folder)
    name_parts(folder)
    artefacts = {**manifest.artefacts, "measured": FittedArtefacts.below(folder / MEASURED).fingerprints}
    code, files = manifest.code + note, list_files(folder)
    replace(manifest, code=code, artefacts=artefacts, files=files, **described).save(folder)
    return folder


def _rename_measured(folder: Path) -> None:
    """Let the evaluation card name what lies in the folder, as that of a build would."""
    card = json.loads((folder / EVALUATION).read_bytes())
    measured = FittedArtefacts.below(folder / MEASURED)
    card[BUILT_WITH] = measured_with(measured, load_schemas(folder / FEATURES), load_rules(folder))
    (folder / EVALUATION).write_text(json.dumps(card))


def turn_ranker_over(bundle: Path) -> None:
    """Let the ranker that was measured put last what it would put first."""
    folder = bundle / MEASURED / "ranking"
    ranker = Ranker.load(folder)
    for number, tree in enumerate(ranker.booster.dump_model()["tree_info"]):
        for leaf in range(tree["num_leaves"]):
            ranker.booster.set_leaf_output(number, leaf, -ranker.booster.get_leaf_output(number, leaf))
    shutil.rmtree(folder)
    ranker.save(folder)


def exclude_only_what_was_bought(bundle: Path) -> None:
    """Let the release show again what people did not buy, and its window want the last three such items of theirs."""
    rules = json.loads((bundle / RULES).read_bytes())
    (bundle / RULES).write_text(json.dumps(rules | {"excluding_events": ["purchase"]}))
    path = bundle / MEASURED / CASES
    cases = pl.read_parquet(path)
    histories = FeatureValues.load(bundle / MEASURED / "values").histories
    known = dict(histories.select("user_id", pl.col("item_ids").list.tail(3)).iter_rows())
    again = [
        wanted + [item for item in known.get(user_id, []) if group == WARM and item not in wanted]
        for group, user_id, wanted in cases.select("group", "user_id", "wanted").iter_rows()
    ]
    write_parquet(cases.with_columns(pl.Series("wanted", again, pl.List(pl.String()))), path)


def record(bundle: Path, **ndcg: float) -> None:
    """Write over what was measured when the bundle was built: the NDCG@10 of everybody, by system."""
    path = bundle / MEASURED / "per_user.parquet"
    system, found = pl.col("system"), pl.col("ndcg_at_10")
    known = system.replace_strict(ndcg, default=None, return_dtype=pl.Float64)
    write_parquet(pl.read_parquet(path).with_columns(ndcg_at_10=pl.coalesce(known, found)), path)


def register_bundle(home: Home, bundle: Path, runs: Path, *, dirty: bool = False) -> Version:
    """Register a bundle as `slate register` does."""
    registry = Registry(home, settings_of_tests().app)
    return register(registry, RegistrationInputs(bundle, runs, runs / "no-reports", COMMIT, dirty))


def restore_home(stocked: Home, home: Home) -> None:
    """Put a home back to what is stocked; MLflow's artefacts stay there, where its database names them."""
    restore(stocked.root, home.root, leave_out={stocked.mlflow_artifacts.name})


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
