"""The stages `features` and `publish`, run as dvc runs them, in a folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import ArtefactError, ReleaseMismatch, StoreUnavailable
from contracts.features import Entity
from contracts.home import Home
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from feature_store.offline.offline_store import point_in_time_join
from feature_store.online.connection import connect
from feature_store.server.embedded_redis import online_store, running
from feature_store.server.server_program import free_port
from feature_store.values.values import FeatureValues, load_schemas
from pipelines import features, publish
from pipelines.paths import BUNDLE, FEATURES, RECEIPT, VALID, Cutoff, feature_training, feature_values
from recommender.catalogue import Catalogue
from recommender.split import TimeSplit
from release.bundle.manifest import Manifest, list_files
from release.bundle.parts import name_parts
from tests.integration.online_store.test_publish import everything
from tests.unit.release.sample_manifest import MANIFEST_OF_NOTHING

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(CHECKOUT / "params.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, world: CanonicalTables, settings: Settings) -> Path:
    """A folder where `features` has run; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("built")
    with contextlib.chdir(folder):
        world.save(VALID)
        features.run(settings)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where `features` has run."""
    folder = tmp_path / "checkout"
    shutil.copytree(built, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def bundle(workspace: Path, world: CanonicalTables) -> Manifest:
    """What of a bundle is published; its manifest."""
    shutil.copytree(feature_values(Cutoff.ALL), BUNDLE / "values")
    load_schemas(FEATURES).save(BUNDLE / "features")
    Catalogue.from_items(world.items).save(BUNDLE / "catalogue")
    generation_id = FeatureValues.load(BUNDLE / "values").generation_id
    (BUNDLE / "golden").mkdir()
    (BUNDLE / "golden" / "queries.json").write_text("{}")
    name_parts(BUNDLE)
    return sealed(generation_id)


def sealed(generation_id: str) -> Manifest:
    """The manifest of what is in the bundle's folder, which it closes."""
    manifest = replace(MANIFEST_OF_NOTHING, generation_id=generation_id, files=list_files(BUNDLE))
    manifest.save(BUNDLE)
    return manifest


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestFeatures:
    def test_the_same_data_gives_the_same_bytes(self, workspace, settings):
        first = files_below(FEATURES)
        shutil.rmtree(FEATURES)
        features.run(settings)
        assert files_below(FEATURES) == first

    def test_the_split_is_written_and_read_back(self, workspace, settings):
        content = json.loads((FEATURES / "split.json").read_text())
        split = TimeSplit.from_json(content)
        assert len(split.snapshots["test"]) == len(split.snapshots["all"]) == settings.features.n_snapshots
        assert content["counts"]["n_item_rows"] == 40 * len({*split.snapshots["test"], *split.snapshots["all"]})

    @pytest.mark.parametrize("cutoff", list(Cutoff))
    def test_the_latest_values_know_nothing_from_the_cutoff_on(self, workspace, world, cutoff):
        split = TimeSplit.from_json(json.loads((FEATURES / "split.json").read_text()))
        values = FeatureValues.load(feature_values(cutoff))
        seen = world.interactions.filter(pl.col("event_ts") < split.end(cutoff))
        assert values.as_of == split.end(cutoff)
        assert set(values.ids(Entity.USER)) == set(seen["user_id"])
        assert values.users["user_event_count_total"].sum() == seen.height
        assert values.histories["event_ts"].list.max().max() == seen["event_ts"].dt.epoch("s").max()
        assert values.ids(Entity.ITEM) == sorted(world.items["item_id"])

    def test_the_training_rows_are_the_join_at_each_snapshot_for_everybody_seen_by_then(self, workspace, world):
        split = TimeSplit.from_json(json.loads((FEATURES / "split.json").read_text()))
        rows = pl.read_parquet(feature_training() / "user.parquet")
        for as_of, end in split.label_windows("test"):
            seen = world.interactions.filter(pl.col("event_ts") < end)["user_id"].unique()
            mine = rows.filter(pl.col("as_of") == as_of)
            assert set(mine["user_id"]) == set(seen)
            expected = point_in_time_join(mine.select("user_id", "as_of"), world, Entity.USER)
            assert mine.equals(expected)

    def test_defaults_are_learnt_before_the_test_window(self, workspace, world, settings):
        """Whatever happens in the test window, the schema stays."""
        before = load_schemas(FEATURES)
        split = TimeSplit.from_json(json.loads((FEATURES / "split.json").read_text()))
        in_test = pl.col("event_ts") >= split.test_start
        louder = world.interactions.with_columns(value=pl.when(in_test).then(1.0).otherwise(pl.col("value")))
        CanonicalTables(louder, world.items, world.users).save(VALID)
        features.run(settings)
        assert load_schemas(FEATURES) == before


class TestPublish:
    @pytest.fixture(autouse=True)
    def _own_store(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REDIS_URL", raising=False)

    def test_the_values_are_published_and_the_second_run_finds_them(self, bundle, settings, home, capsys):
        first = publish.run(settings)
        content = RECEIPT.read_bytes()
        told = capsys.readouterr().out
        assert f"generation {bundle.generation_id} of release {bundle.release_id} is published: " in told
        assert f"{first['n_users']:,} people, {first['n_items']:,} items" in told
        second = publish.run(settings)
        assert "is published already, and all there: " in capsys.readouterr().out
        assert (first["written"], second["written"]) == (True, False)
        assert RECEIPT.read_bytes() == content
        assert json.loads(content)["release_id"] == bundle.release_id
        assert running(home) is None

    def test_a_receipt_that_dvc_removed_is_written_again_without_publishing(self, bundle, settings):
        publish.run(settings)
        content = RECEIPT.read_bytes()
        RECEIPT.unlink()
        assert not publish.run(settings)["written"]
        assert RECEIPT.read_bytes() == content

    def test_a_flushed_store_is_noticed_and_filled_again(self, bundle, settings, home):
        publish.run(settings)
        content = RECEIPT.read_bytes()
        with online_store(home) as url, connect(url) as client:
            client.flushall()
        assert publish.run(settings)["written"]
        assert RECEIPT.read_bytes() == content

    def test_values_that_went_while_the_receipt_stayed_are_counted_and_written_again(self, bundle, settings, home):
        publish.run(settings)
        with online_store(home) as url, connect(url) as client:
            before = everything(client)
            values = [key for key in before if re.search(rb":v2:[0-9a-f]{16}:[uhi]", key)]
            client.delete(*values)
        assert publish.run(settings)["written"]
        assert not publish.run(settings)["written"]
        with online_store(home) as url, connect(url) as client:
            assert everything(client).keys() == before.keys()

    @pytest.mark.parametrize("damage", ["{", "[]", '{"release_id": "r1"}'])
    def test_a_damaged_receipt_is_written_anew(self, bundle, settings, damage):
        publish.run(settings)
        content = RECEIPT.read_bytes()
        RECEIPT.write_text(damage)
        publish.run(settings)
        assert RECEIPT.read_bytes() == content

    def test_a_receipt_that_disagrees_with_the_store_is_settled_by_publishing(self, bundle, settings):
        publish.run(settings)
        content = RECEIPT.read_bytes()
        RECEIPT.write_text(json.dumps({**json.loads(content), "checksum": "0" * 16}))
        assert publish.run(settings)["written"]
        assert RECEIPT.read_bytes() == content

    def test_without_a_bundle_the_message_says_what_to_run(self, workspace, settings):
        with pytest.raises(ArtefactError, match="dvc repro release"):
            publish.run(settings)

    def test_values_of_another_generation_than_the_manifests_are_refused(self, bundle, settings):
        sealed("f" * 16)
        with pytest.raises(ReleaseMismatch, match="manifest says ffffffffffffffff") as refused:
            publish.run(settings)
        assert bundle.generation_id in str(refused.value)
        assert not RECEIPT.exists()

    def test_a_store_that_is_away_is_named_and_no_receipt_is_written(self, bundle, settings, monkeypatch):
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
        with pytest.raises(StoreUnavailable, match="REDIS_URL"):
            publish.run(settings)
        assert not RECEIPT.exists()

    def test_finding_everything_published_imports_nothing_heavy(self, bundle, settings, home):
        publish.run(settings)
        shutil.copy(CHECKOUT / "params.yaml", "params.yaml")
        code = (
            "import sys, runpy; runpy.run_module('pipelines.publish', run_name='__main__'); "
            "print(sorted({'numpy', 'polars', 'pandas', 'pyarrow', 'ibis', 'duckdb', 'tqdm'} & set(sys.modules)))"
        )
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "[]"
        record = json.loads((home.runs / Path.cwd().name / "publish.json").read_text())
        assert record["written"] is False
