"""A part of another release is refused, whoever put it there and however well the manifest was mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.artefact import META
from contracts.errors import ReleaseMismatch
from contracts.fingerprint import fingerprint_file
from feature_store.online.connection import Client, connect
from feature_store.values.values import FeatureValues
from release.bundle.bundle import FittedArtefacts, Release, load_bundle, load_measured
from release.bundle.manifest import MANIFEST, list_files, load_manifest
from release.bundle.parts import part_fingerprints
from release.bundle.publication import publish_bundle
from release.bundle_build import Ingredients, build_bundle
from tests.integration.bundles.test_bundle import relist
from tests.release_worlds import small_settings

# Every part of a bundle that could be taken from another one, and every generator by itself.
PARTS = [
    "catalogue",
    "candidates",
    *(f"candidates/{name}" for name in ("als", "content", "covisitation", "next_visit", "popular", "popular_segment")),
    "index",
    "index/index.faiss",
    "ranking",
    "features",
    "values",
    "rules.json",
    "measured",
    "measured/candidates",
    "measured/index",
    "measured/ranking",
    "measured/window.json",
    "measured/per_user.parquet",
    "golden/queries.json",
    "golden/values",
    "evaluation.json",
]


def swap(bundle: Path, other: Path, part: str) -> None:
    target = bundle / part
    if target.is_dir():
        shutil.rmtree(target)
        shutil.copytree(other / part, target)
    else:
        shutil.copyfile(other / part, target)


def relist_everything(bundle: Path) -> None:
    """The best that can be done for a mixed folder without rewriting a part: a manifest that describes it."""
    relist(
        bundle,
        generation_id=FeatureValues.load(bundle / "values").generation_id,
        artefacts={
            "shipped": FittedArtefacts.below(bundle).fingerprints,
            "measured": FittedArtefacts.below(bundle / "measured").fingerprints,
        },
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_release_is_refused_with_both_fingerprints(bundle: Path, other: Path, part: str) -> None:
    expected = load_manifest(bundle).files
    swap(bundle, other, part)
    found = list_files(bundle)
    differing = min(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    for load in (load_bundle, load_measured):
        with pytest.raises(ReleaseMismatch) as refusal:
            load(bundle)
        assert f"{differing}: {MANIFEST} of" in refusal.value.problem
        assert expected[differing] in refusal.value.problem
        assert found[differing] in refusal.value.problem
        assert "dvc repro" in refusal.value.next_step


@pytest.mark.parametrize("part", PARTS)
def test_it_is_refused_also_where_the_manifest_was_made_to_describe_it(bundle: Path, other: Path, part: str) -> None:
    before = part_fingerprints(load_manifest(bundle).files)
    foreign = part_fingerprints(load_manifest(other).files)
    swap(bundle, other, part)
    relist_everything(bundle)
    after = part_fingerprints(load_manifest(bundle).files)
    # The golden queries of another release name its parts; everything else is named by those of this one.
    named = foreign if part == "golden/queries.json" else before
    differing = min(name for name in after if after[name] != named[name])
    for load in (load_bundle, load_measured):
        with pytest.raises(ReleaseMismatch) as refusal:
            load(bundle)
        problem = f"{differing} is {after[differing]}, but the golden queries were made with {differing} "
        assert problem + named[differing] in refusal.value.problem
        assert "dvc repro release" in refusal.value.next_step


@pytest.fixture
def store(redis_url: str) -> Iterator[Client]:
    with connect(redis_url) as client:
        yield client


@pytest.mark.parametrize("part", ["values", "features", "catalogue", "ranking", "evaluation.json"])
@pytest.mark.parametrize("mended", [False, True])
def test_a_mixed_bundle_is_not_published_and_nothing_is_written(
    bundle: Path, other: Path, store: Client, part: str, mended: bool
) -> None:
    swap(bundle, other, part)
    if mended:
        relist_everything(bundle)
    with pytest.raises(ReleaseMismatch, match=part):
        publish_bundle(store, "movies", bundle, batch_size=100)
    assert store.dbsize() == 0


def names(folder: Path) -> str:
    return fingerprint_file(folder / META)


@pytest.mark.parametrize("fit", ["shipped", "measured"])
@pytest.mark.parametrize("part", ["candidates", "index", "ranking"])
def test_a_build_from_parts_of_two_runs_leaves_no_release(
    ingredients: Ingredients, other_ingredients: Ingredients, tmp_path: Path, fit: str, part: str
) -> None:
    foreign = getattr(getattr(other_ingredients, fit), part)
    mixed = replace(getattr(ingredients, fit), **{part: foreign})
    with pytest.raises(ReleaseMismatch, match=r"[0-9a-f]{16}.*[0-9a-f]{16}"):
        build_bundle(tmp_path / "bundle", replace(ingredients, **{fit: mixed}))
    assert not (tmp_path / "bundle" / MANIFEST).exists()


def test_a_build_with_the_feature_schemas_of_another_run_names_both(
    ingredients: Ingredients, other_ingredients: Ingredients, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseMismatch, match=r"trained with feature schemas [0-9a-f]{16}, .* schemas [0-9a-f]{16}"):
        build_bundle(tmp_path / "bundle", replace(ingredients, schemas=other_ingredients.schemas))


def test_a_build_with_the_evaluation_of_another_run_names_both(
    ingredients: Ingredients, other_ingredients: Ingredients, tmp_path: Path
) -> None:
    theirs, ours = names(other_ingredients.measured.candidates), names(ingredients.measured.candidates)
    with pytest.raises(ReleaseMismatch, match=f"built with candidates {theirs}, but is used with candidates {ours}"):
        build_bundle(tmp_path / "bundle", replace(ingredients, evaluation=other_ingredients.evaluation))
    assert not (tmp_path / "bundle" / MANIFEST).exists()


def test_a_build_with_rules_that_were_not_measured_names_both(ingredients: Ingredients, tmp_path: Path) -> None:
    unmeasured = small_settings(request={"personal_min_events": 6})
    with pytest.raises(ReleaseMismatch, match=r"built with rules [0-9a-f]{16}, but is used with rules [0-9a-f]{16}"):
        build_bundle(tmp_path / "bundle", replace(ingredients, settings=unmeasured))


def test_rules_that_ask_a_generator_that_is_not_there_are_refused(ingredients: Ingredients, tmp_path: Path) -> None:
    quotas = {**ingredients.settings.request.quotas, "oracle": 5}
    with pytest.raises(ReleaseMismatch, match=r"rules [0-9a-f]{16} ask oracle .* generators [0-9a-f]{16} are als, "):
        build_bundle(tmp_path / "bundle", replace(ingredients, settings=small_settings(request={"quotas": quotas})))


def test_values_of_other_items_are_refused(ingredients: Ingredients, tmp_path: Path) -> None:
    values = FeatureValues.load(ingredients.values)
    fewer = replace(values, items=values.items.head(39), histories=values.histories.clear())
    fewer.save(tmp_path / "values")
    with pytest.raises(ReleaseMismatch, match=r"are of 39 items, id map [0-9a-f]{16}; .* 40, id map [0-9a-f]{16}"):
        build_bundle(tmp_path / "bundle", replace(ingredients, values=tmp_path / "values"))


def test_two_whole_releases_load(built: Release, other: Path) -> None:
    assert load_bundle(other).release_id != built.release_id
    load_measured(other)
