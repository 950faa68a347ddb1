from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.settings.identity_params import released_params
from contracts.settings.settings import load_settings
from release.bundle.manifest import MANIFEST, Manifest, check_files, list_files, load_manifest
from tests.unit.release.sample_manifest import MANIFEST_OF_NOTHING


def write_bundle(folder: Path) -> Manifest:
    (folder / "index").mkdir(parents=True)
    (folder / "index" / "vectors.npy").write_bytes(b"vectors")
    manifest = replace(MANIFEST_OF_NOTHING, files=list_files(folder))
    manifest.save(folder)
    return manifest


def edit(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(content | changes))


def test_a_saved_manifest_comes_back_equal(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    assert load_manifest(tmp_path) == manifest
    check_files(tmp_path, manifest)


def test_the_same_content_in_two_folders_gives_one_id_and_the_same_bytes(tmp_path: Path) -> None:
    first, second = write_bundle(tmp_path / "a"), write_bundle(tmp_path / "elsewhere" / "b")
    assert first.release_id == second.release_id
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "elsewhere" / "b" / MANIFEST).read_bytes()


def test_touching_a_file_does_not_change_the_id(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    os.utime(tmp_path / "index" / "vectors.npy", (1, 1))
    assert replace(manifest, files=list_files(tmp_path)).release_id == manifest.release_id


@pytest.mark.parametrize(
    "change",
    [
        {"app": "shop"},
        {"generation_id": "g-000000000001"},
        {"as_of": "2020-04-11T00:00:00+00:00"},
        {"data": {"interactions": "a2"}},
        {"code": "c0d3"},
        {"params": {"seed": 8}},
        {"features": {"user": [], "item": ["user_age"]}},
        {"dimensions": {"n_items": 3}},
        {"artefacts": {"shipped": {"index": "2"}, "measured": {"index": "1"}}},
        {"golden": 1},
        {"metrics": {"ndcg_at_10": 0.26}},
        {"files": {"index/vectors.npy": "0"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_content_has_another_id(change: dict[str, Any]) -> None:
    assert replace(MANIFEST_OF_NOTHING, **change).release_id != MANIFEST_OF_NOTHING.release_id


def test_no_manifest_no_release(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(ArtefactError, match=r"has no manifest\.json: it is missing, unfinished or no bundle"):
        load_manifest(tmp_path)


def test_an_unknown_format_version_says_what_to_do(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    edit(tmp_path, format_version=99)
    with pytest.raises(
        ArtefactError, match="format version 99; this Slatework reads versions 1, 2, 3, 4, 5, 6\\."
    ) as refusal:
        load_manifest(tmp_path)
    assert "git checkout release/<id>" in refusal.value.next_step


def test_an_edited_manifest_is_refused_with_both_ids(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    edit(tmp_path, code="other")
    with pytest.raises(ReleaseMismatch, match=manifest.release_id) as refusal:
        load_manifest(tmp_path)
    assert replace(manifest, code="other").release_id in refusal.value.problem


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"format_version": 1}', b"[" * 100_000],
    ids=["empty", "half", "list", "string", "no UTF-8", "no keys", "too deep"],
)
def test_damaged_bytes_are_an_artefact_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"files": ["a"]}, {"files": {"a": 1}}, {"as_of": "soon"}, {"as_of": "2020-01-01"}, {"as_of": 3}, {"extra": 1}],
)
def test_a_field_of_the_wrong_kind_is_an_artefact_error(tmp_path: Path, change: dict[str, Any]) -> None:
    write_bundle(tmp_path)
    edit(tmp_path, **change)
    with pytest.raises(ArtefactError):
        load_manifest(tmp_path)


def test_a_changed_file_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    (tmp_path / "index" / "vectors.npy").write_bytes(b"others!")
    with pytest.raises(ReleaseMismatch, match=manifest.files["index/vectors.npy"]) as refusal:
        check_files(tmp_path, manifest)
    assert list_files(tmp_path)["index/vectors.npy"] in refusal.value.problem


def test_a_missing_and_an_extra_file_are_refused_by_name(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    (tmp_path / "extra.txt").write_text("x")
    with pytest.raises(ReleaseMismatch, match=r"extra\.txt"):
        check_files(tmp_path, manifest)
    (tmp_path / "extra.txt").unlink()
    (tmp_path / "index" / "vectors.npy").unlink()
    with pytest.raises(ReleaseMismatch, match=r"vectors\.npy.*found no such file"):
        check_files(tmp_path, manifest)


def test_the_parameters_of_a_release_are_those_that_change_its_answers() -> None:
    params = released_params(load_settings(Path("params.yaml")))
    assert params["request"]["quotas"]["als"] > 0
    assert "publish" not in params
    assert "serving" not in params
    assert "path" not in params["ingest"]
    assert "baseline" not in params["validate"]
