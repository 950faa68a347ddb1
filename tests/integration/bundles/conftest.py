"""One small release, built once from the stages' real outputs; every test gets a copy it may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from release.bundle.bundle import Release
from release.bundle_build import Ingredients, build_bundle
from tests.release_worlds import ingredients_of, run_stages, small_settings
from tests.worlds import small_world


@pytest.fixture(scope="session")
def settings() -> Settings:
    return small_settings()


@pytest.fixture(scope="session")
def workspace(small_workspace: Path) -> Path:
    """What the stages up to `evaluate` wrote; nobody may change it."""
    return small_workspace


@pytest.fixture(scope="session")
def ingredients(workspace: Path, settings: Settings) -> Ingredients:
    return ingredients_of(workspace, settings)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, ingredients: Ingredients) -> Release:
    """The release; nobody may change its folder."""
    return build_bundle(tmp_path_factory.mktemp("built") / "bundle", ingredients)


@pytest.fixture
def bundle(built: Release, tmp_path: Path) -> Path:
    """A copy of the bundle that this test alone uses."""
    assert built.folder is not None
    return Path(shutil.copytree(built.folder, tmp_path / "bundle"))


def other_world() -> CanonicalTables:
    """The small world lived through by other people, who know its films under other titles; the ids are the same."""
    world = small_world(seed=4)
    return CanonicalTables(world.interactions, world.items.with_columns(pl.col("title") + "!"), world.users)


@pytest.fixture(scope="session")
def other_ingredients(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    """Another seed, other data and other rules."""
    workspace = tmp_path_factory.mktemp("other")
    settings = small_settings(request={"personal_min_events": 6}).model_copy(update={"seed": 8})
    run_stages(workspace, other_world(), settings)
    return ingredients_of(workspace, settings)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory, other_ingredients: Ingredients) -> Path:
    """A whole release that shares nothing with `built` but its item ids."""
    folder = build_bundle(tmp_path_factory.mktemp("other-built") / "bundle", other_ingredients).folder
    assert folder is not None
    return folder
