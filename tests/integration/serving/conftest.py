"""Two releases of the small world, built once by the stages themselves; every test gets them published anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest

from bench.two_releases import with_other_rules
from contracts.home import Home
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from feature_store.online.connection import connect
from pipelines import candidates, evaluate, features, index, ranking, release
from pipelines.paths import BUNDLE, VALID, VALIDATION_RESULT, Cutoff
from release.bundle.bundle_store import BundleStore
from tests.integration.serving.worlds import Stage, published
from tests.once import built_once
from tests.release_worlds import link_code

CHECKOUT = Path(__file__).resolve().parents[3]
CART = {
    "where": '"drama" in categories || "comedy" in categories',
    "request": {"max_k": 6},
    "rules": {
        "calm": {"block": '"comedy" in categories', "when": 'context.mood == "calm"'},
        "hero": {"pin": '"drama" in categories', "position": 2},
        "mixed": {"limit": "each category", "most": 2, "within": 3},
    },
}
# A small world needs small models; everything else is as in the checkout's params.yaml.
SMALLER: dict[str, dict[str, Any]] = {
    "features": {"n_snapshots": 3},
    "index": {"recall_k": 10},
    "request": {"placements": {"cart": CART}},
    "ranking": {"n_trees": 20, "min_rows_per_leaf": 5, "n_threads": 1},
    "evaluate": {"n_bootstrap": 100},
    "release": {"n_golden_queries": 6},
    # A busy machine must not look like a Redis that is away, or like more requests than are answered.
    "serving": {"poll_ms": 10, "store_timeout_ms": 10_000, "max_wait_ms": 60_000},
}


@pytest.fixture(scope="session")
def small_settings() -> Settings:
    values = load_settings(CHECKOUT / "params.yaml").model_dump(by_alias=True)
    values["candidates"]["als"]["factors"] = 8
    return Settings.model_validate({**values, **{name: {**values[name], **SMALLER[name]} for name in SMALLER}})


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, world: CanonicalTables, small_settings: Settings) -> Path:
    """A bundle of the small world, made by the stages themselves."""

    def build(workspace: Path) -> None:
        link_code(workspace)
        with chdir(workspace):
            world.save(VALID)
            VALIDATION_RESULT.parent.mkdir(parents=True)
            VALIDATION_RESULT.write_text(json.dumps({"passed": True}))
            features.run(small_settings)
            for cutoff in Cutoff:
                candidates.run(small_settings, cutoff)
                index.run(small_settings, cutoff)
            ranking.run(small_settings)
            evaluate.run(small_settings)
            release.run(small_settings)

    return built_once(tmp_path_factory, "served", build) / BUNDLE


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Home:
    """A home that keeps two releases: what was built, and the same with other rules, so that a mixed slate shows."""
    folder = tmp_path_factory.mktemp("stocked")
    other = with_other_rules(built, folder / "other", seed=7)
    home = Home(folder / "home")
    for bundle in (built, other):
        BundleStore(home).keep(bundle)
    return home


@pytest.fixture
def stage(
    stocked: Home, small_settings: Settings, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """The two releases published in an emptied Redis, in a home of this test's own."""
    home = Home(tmp_path / "home")
    shutil.copytree(stocked.bundles, home.bundles)
    monkeypatch.setenv("SLATE_HOME", str(home.root))
    monkeypatch.setenv("REDIS_URL", redis_url)
    with closing(connect(redis_url)) as client:
        yield published(home, small_settings, client)


@pytest.fixture
def client(stage: Stage) -> Iterator[Any]:
    """A client of a server that serves the first of the two."""
    stage.point_at(0)
    with stage.client() as client:
        yield client
