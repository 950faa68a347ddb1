"""The stages candidates, index and ranking, run one after another in a workspace of their own."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from contracts.artefact import load_meta
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.values.values import load_schemas
from pipelines import candidates, features, index, ranking
from pipelines.paths import CANDIDATES, FEATURES, INDEX, RANKING, VALID, Cutoff
from recommender.generators.als import AlsGenerator
from recommender.generators.indexed import IndexedGenerator
from recommender.generators.sets import load_generators
from recommender.index.vector_index import VectorIndex
from recommender.on_demand import on_demand_names
from recommender.ranking.ranker import Ranker
from recommender.ranking.ranking_features import feature_names
from release.bundle.manifest import list_files
from tests.worlds import GENRES

CHECKOUT = Path(__file__).parents[3]


def small_settings(**index_changes: Any) -> Settings:
    """The project's own parameters, with models small enough for a small world."""
    values = YAML(typ="safe", pure=True).load((CHECKOUT / "params.yaml").read_text())
    values["features"] |= {"n_snapshots": 4, "snapshot_step_share": 0.1}
    values["candidates"]["als"] |= {"factors": 6, "iterations": 5}
    values["ranking"] |= {"n_trees": 20, "min_rows_per_leaf": 10}
    values["index"] |= {"recall_k": 5, **index_changes}
    return Settings.model_validate(values)


@dataclass(frozen=True)
class Workspace:
    """A folder in which the stages have run for both cutoffs."""

    folder: Path
    settings: Settings


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, world: CanonicalTables) -> Workspace:
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        world.save(VALID)
        settings = small_settings(kind="hnsw", exact_below=10)
        features.run(settings)
        for cutoff in Cutoff:
            candidates.run(settings, cutoff)
            index.run(settings, cutoff)
        ranking.run(settings)
    return Workspace(folder, settings)


@pytest.fixture(autouse=True)
def _inside(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.folder)


@pytest.mark.parametrize("cutoff", Cutoff)
def test_what_the_stages_wrote_fits_together(cutoff):
    generators = load_generators(CANDIDATES / cutoff)
    als = generators.by_name["als"]
    assert isinstance(als, AlsGenerator)
    vectors = VectorIndex.load(INDEX / cutoff, generators.catalogue.ids)
    assert IndexedGenerator(als, vectors).name == "als"
    ranker, schemas = Ranker.load(RANKING / cutoff), load_schemas(FEATURES)
    computed = on_demand_names(ranker.feature_names)
    assert "pair_category_lift_all" in computed
    assert "pair_price_gap_all" not in computed  # nothing has a price here
    ranker.check_features(feature_names(schemas, sorted(generators.by_name), computed))
    assert ranker.built_with == {"generators": generators.fingerprint, "feature schemas": schemas.fingerprint}


def test_the_index_is_a_graph_and_its_recall_was_measured():
    vectors = VectorIndex.load(INDEX / Cutoff.TEST, load_generators(CANDIDATES / Cutoff.TEST).catalogue.ids)
    assert not vectors.is_exact
    assert vectors.recall >= 0.95
    assert vectors.recall_k == 5
    assert vectors.recall_among.keys() == set(GENRES)
    assert min(vectors.recall_among.values()) >= 0.95


def test_the_index_of_one_cutoff_is_refused_by_the_generators_of_the_other():
    als = load_generators(CANDIDATES / Cutoff.TEST).by_name["als"]
    assert isinstance(als, AlsGenerator)
    other = VectorIndex.load(INDEX / Cutoff.ALL, load_generators(CANDIDATES / Cutoff.TEST).catalogue.ids)
    with pytest.raises(ReleaseMismatch, match="built from embeddings"):
        IndexedGenerator(als, other)


def test_running_a_stage_again_writes_the_same_bytes(workspace):
    for run, folder in ((candidates.run, CANDIDATES), (index.run, INDEX)):
        before = list_files(folder / Cutoff.TEST)
        run(workspace.settings, Cutoff.TEST)
        assert list_files(folder / Cutoff.TEST) == before
    before = list_files(RANKING)
    ranking.run(workspace.settings)
    assert list_files(RANKING) == before


def test_nothing_of_an_earlier_run_is_left(workspace):
    left = CANDIDATES / Cutoff.TEST / "a generator that is no more"
    left.mkdir()
    candidates.run(workspace.settings, Cutoff.TEST)
    assert not left.exists()


def test_an_index_that_finds_too_little_stops_the_stage_and_leaves_no_index_of_it(workspace):
    careless = workspace.settings.index.model_copy(update={"min_recall": 1.01})
    before = load_meta(INDEX / Cutoff.TEST, "vector-index").fingerprint
    with pytest.raises(ArtefactError, match=r"index\.min_recall is 1\.01"):
        index.run(workspace.settings.model_copy(update={"index": careless}), Cutoff.TEST)
    assert load_meta(INDEX / Cutoff.TEST, "vector-index").fingerprint == before


def test_a_missing_split_names_the_stage_to_run(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CanonicalTables.load(workspace.folder / VALID).save(VALID)
    with pytest.raises(ArtefactError, match="dvc repro features"):
        candidates.run(workspace.settings, Cutoff.TEST)


@pytest.mark.parametrize("arguments", [[], ["yesterday"]])
@pytest.mark.parametrize("stage", ["candidates", "index"])
def test_without_a_cutoff_a_stage_says_what_to_type(
    stage: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = CHECKOUT / "pipelines" / f"{stage}.py"
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setattr(sys, "argv", [str(program), *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(program), run_name="__main__")
    # Python prints such a code to stderr, and ends with the status 1.
    assert end.value.code == f"{stage}: name one cutoff, test or all: python -m pipelines.{stage} test"
