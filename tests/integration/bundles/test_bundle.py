"""A bundle loads whole or not at all, and its id follows from its content."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.fingerprint import SETTLED_NS
from contracts.ids import UserId
from contracts.slates import RecommendRequest, Tier
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer
from release.bundle.bundle import Release, load_bundle, load_measured
from release.bundle.manifest import MANIFEST, list_files, load_manifest
from release.bundle.parts import name_parts
from release.bundle_build import Ingredients, build_bundle
from tests.release_worlds import ingredients_of, run_stages, small_settings


def reseal(folder: Path, **changes: Any) -> None:
    """Make golden queries and manifest agree with the files, as somebody would who forges a bundle."""
    name_parts(folder)
    relist(folder, **changes)


def relist(folder: Path, **changes: Any) -> None:
    """Make the manifest agree with the files, as somebody would who puts a bundle together by hand."""
    replace(load_manifest(folder), files=list_files(folder), **changes).save(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_to_load_a_bundle_each_of_its_files_is_hashed_once(built: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    assert built.folder is not None
    on_disk = Counter(hashlib.sha256(content).digest() for content in files_of(built.folder).values())
    digests: list[Any] = []
    original, now_ns = hashlib.sha256, time.time_ns() + 10 * SETTLED_NS
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    monkeypatch.setattr(hashlib, "sha256", lambda *content: digests.append(original(*content)) or digests[-1])
    load_bundle(built.folder)
    hashed = Counter(digest.digest() for digest in digests)
    of_files = {digest: n for digest, n in hashed.items() if digest in on_disk}
    assert sum(of_files.values()) > 0.9 * len(on_disk)
    assert {digest: n for digest, n in of_files.items() if n > on_disk[digest]} == {}


def test_a_built_bundle_answers_and_says_which_release_and_generation_it_is(built: Release) -> None:
    assert built.folder is not None
    values = FeatureValues.load(built.folder / "values")
    reader = OfflineFeatureReader(values, built.schemas, built.catalogue.ids)
    request = RecommendRequest("q", user_id=UserId("u500"))
    slate = answer(built, reader, FixedClock(built.as_of), request)
    assert (slate.release_id, slate.generation_id) == (built.release_id, built.generation_id)
    assert slate.tier is Tier.PERSONAL
    assert slate.degraded == ()
    assert len(slate.items) == 10


def test_two_builds_have_one_id_and_the_same_bytes(built: Release, ingredients: Ingredients, tmp_path: Path) -> None:
    again = build_bundle(tmp_path / "elsewhere" / "again", ingredients)
    assert built.folder is not None
    assert again.folder is not None
    assert again.release_id == built.release_id
    assert files_of(again.folder) == files_of(built.folder)


@pytest.mark.slow
def test_the_stages_run_again_elsewhere_give_the_same_release(
    built: Release, world: CanonicalTables, tmp_path: Path
) -> None:
    settings = small_settings()
    run_stages(tmp_path / "elsewhere", world, settings)
    again = build_bundle(tmp_path / "bundle", ingredients_of(tmp_path / "elsewhere", settings))
    assert again.release_id == built.release_id


def test_touched_files_are_the_same_release(bundle: Path) -> None:
    for path in bundle.rglob("*"):
        os.utime(path, (1, 1))
    before = load_manifest(bundle).release_id
    reseal(bundle)
    assert load_bundle(bundle).release_id == before


@pytest.mark.parametrize(
    "change",
    [
        {"code": "other code"},
        {"data": {"interactions": "other", "items": "small", "users": "small"}},
    ],
    ids=["code", "data"],
)
def test_other_ingredients_make_another_release(
    built: Release, ingredients: Ingredients, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert build_bundle(tmp_path / "other", replace(ingredients, **change)).release_id != built.release_id


def test_another_number_of_golden_queries_makes_another_release(
    built: Release, ingredients: Ingredients, tmp_path: Path
) -> None:
    settings = ingredients.settings
    fewer = settings.model_copy(update={"release": settings.release.model_copy(update={"n_golden_queries": 3})})
    assert build_bundle(tmp_path / "other", replace(ingredients, settings=fewer)).release_id != built.release_id


def test_the_measured_fit_travels_along_and_ends_where_the_test_window_starts(
    built: Release, ingredients: Ingredients
) -> None:
    assert built.folder is not None
    measured = load_measured(built.folder)
    assert measured.as_of == ingredients.test_start < built.as_of == ingredients.as_of
    assert measured.ranker.built_with != built.ranker.built_with
    assert measured.catalogue.fingerprint == built.catalogue.fingerprint


def test_the_manifest_says_what_the_release_is_made_of(built: Release) -> None:
    manifest = built.manifest
    assert manifest is not None
    assert manifest.features["user"] == list(built.schemas.user.names)
    assert manifest.dimensions["n_items"] == 40
    assert manifest.artefacts["shipped"].keys() == manifest.artefacts["measured"].keys()
    assert manifest.artefacts["shipped"] != manifest.artefacts["measured"]
    assert manifest.golden == 9
    assert 0 < manifest.metrics["ndcg_at_10"] < 1


def test_nothing_in_a_bundle_names_the_folder_it_was_built_in(built: Release, workspace: Path) -> None:
    assert built.folder is not None
    everything = b"".join(files_of(built.folder).values())
    for word in (str(workspace), str(built.folder), str(Path.home())):
        assert word.encode() not in everything


def test_no_file_of_a_bundle_is_a_pickle(built: Release) -> None:
    assert built.folder is not None
    for name, content in files_of(built.folder).items():
        assert not content.startswith(b"\x80"), f"{name} starts like a pickle of protocol 2 or later"
        if name.endswith(".npy"):
            array = np.load(built.folder / name, allow_pickle=False)
            assert array.dtype != object, f"{name} holds pickled objects"
        with pytest.raises(
            (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError)
        ):
            pickle.loads(content)


def test_an_unfinished_bundle_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    with pytest.raises(ArtefactError, match="unfinished"):
        load_bundle(bundle)


def test_a_build_that_dies_leaves_no_release(
    ingredients: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    build_bundle(tmp_path / "bundle", ingredients)
    monkeypatch.setattr("release.bundle_build.make_golden", stop)
    with pytest.raises(KeyboardInterrupt):
        build_bundle(tmp_path / "bundle", ingredients)
    with pytest.raises(ArtefactError, match="has no manifest"):
        load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "name", ["ranking/model.txt", "index/index.faiss", "rules.json", "measured/per_user.parquet", "evaluation.json"]
)
def test_a_changed_byte_anywhere_is_refused_with_both_fingerprints(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(ReleaseMismatch, match=load_manifest(bundle).files[name]) as refusal:
        load_bundle(bundle)
    assert list_files(bundle)[name] in refusal.value.problem


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("index", "built from embeddings"),
        ("ranking", "trained with generators"),
        ("candidates", r"rules\.json was built with generators"),
    ],
)
def test_parts_of_two_fits_are_refused_even_under_a_manifest_that_lists_them(
    bundle: Path, part: str, words: str
) -> None:
    shutil.rmtree(bundle / part)
    shutil.copytree(bundle / "measured" / part, bundle / part)
    reseal(bundle)
    with pytest.raises(ReleaseMismatch, match=words):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"generation_id": "g-other"}, "generation_id is .*, the manifest says g-other"),
        ({"features": {"user": [], "item": [], "ranking": []}}, "features is"),
        ({"dimensions": {"n_items": 41}}, "dimensions is .*'n_items': 40.*the manifest says .*41"),
        ({"artefacts": {"shipped": {}, "measured": {}}}, "shipped artefacts is"),
    ],
)
def test_a_manifest_that_describes_other_parts_is_refused_with_both_values(
    bundle: Path, change: dict[str, Any], word: str
) -> None:
    reseal(bundle, **change)
    with pytest.raises(ReleaseMismatch, match=word):
        load_bundle(bundle)


def test_rules_out_of_range_are_refused(bundle: Path) -> None:
    rewrite(bundle / "rules.json", lambda rules: rules.update(max_k=0))
    reseal(bundle)
    with pytest.raises(ArtefactError, match=r"rules\.json is damaged"):
        load_bundle(bundle)


def test_values_of_another_moment_are_refused(ingredients: Ingredients, tmp_path: Path) -> None:
    earlier = ingredients.values.with_name("test")
    with pytest.raises(ReleaseMismatch, match=r"are as of .*, the data they go with ends at"):
        build_bundle(tmp_path / "bundle", replace(ingredients, values=earlier))


def test_a_release_as_built_is_scored_by_the_quick_trees(bundle: Path) -> None:
    """Where the probe refused every model, nobody would notice but by the clock and a line of the log."""
    assert load_bundle(bundle).ranker.quick is not None
