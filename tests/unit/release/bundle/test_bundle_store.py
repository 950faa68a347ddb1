from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.home import Home
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import MANIFEST, Manifest, list_files, load_manifest
from tests.unit.release.sample_manifest import MANIFEST_OF_NOTHING


def write_bundle(folder: Path, content: bytes = b"vectors") -> Manifest:
    folder.mkdir(parents=True)
    (folder / "vectors.npy").write_bytes(content)
    manifest = replace(MANIFEST_OF_NOTHING, files=list_files(folder))
    manifest.save(folder)
    return manifest


def test_a_kept_bundle_is_found_by_its_release_id(home: Home, tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path / "build")
    kept = BundleStore(home).keep(tmp_path / "build")
    assert kept == BundleStore(home).path(manifest.release_id) == home.bundles / manifest.release_id
    assert load_manifest(kept) == manifest
    assert BundleStore(home).release_ids() == [manifest.release_id]


def test_keeping_it_twice_copies_once_and_leaves_nothing_behind(home: Home, tmp_path: Path) -> None:
    write_bundle(tmp_path / "build")
    kept = BundleStore(home).keep(tmp_path / "build")
    copied = (kept / MANIFEST).stat().st_mtime_ns
    assert BundleStore(home).keep(tmp_path / "build") == kept
    assert (kept / MANIFEST).stat().st_mtime_ns == copied
    assert list(home.bundles.iterdir()) == [kept]


def test_a_damaged_bundle_does_not_enter_the_store(home: Home, tmp_path: Path) -> None:
    write_bundle(tmp_path / "build")
    (tmp_path / "build" / "vectors.npy").write_bytes(b"other")
    with pytest.raises(ReleaseMismatch, match=r"vectors\.npy"):
        BundleStore(home).keep(tmp_path / "build")
    assert BundleStore(home).release_ids() == []


def test_a_bundle_damaged_in_the_store_is_noticed_when_kept_again(home: Home, tmp_path: Path) -> None:
    write_bundle(tmp_path / "build")
    kept = BundleStore(home).keep(tmp_path / "build")
    (kept / "vectors.npy").write_bytes(b"other")
    with pytest.raises(ReleaseMismatch, match=str(kept)):
        BundleStore(home).keep(tmp_path / "build")


def test_an_interrupted_copy_leaves_no_release(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "build")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        BundleStore(home).keep(tmp_path / "build")
    assert BundleStore(home).release_ids() == []
    assert list(home.bundles.iterdir()) == []


def test_a_folder_that_a_killed_process_half_removed_is_made_whole_when_kept_again(home: Home, tmp_path: Path) -> None:
    write_bundle(tmp_path / "build")
    kept = BundleStore(home).keep(tmp_path / "build")
    (kept / MANIFEST).unlink()
    (kept / "vectors.npy").write_bytes(b"half")
    assert BundleStore(home).release_ids() == []
    assert BundleStore(home).keep(tmp_path / "build") == kept
    assert (kept / "vectors.npy").read_bytes() == b"vectors"
    assert list(home.bundles.iterdir()) == [kept]


@pytest.mark.parametrize("release_id", ["r-0123456789ab", "", "..", "/etc", "r-0123456789ab/../.."])
def test_a_release_that_is_not_kept_is_an_error_that_names_what_is(home: Home, tmp_path: Path, release_id: str) -> None:
    manifest = write_bundle(tmp_path / "build")
    BundleStore(home).keep(tmp_path / "build")
    with pytest.raises(ArtefactError, match=f"it holds {manifest.release_id}"):
        BundleStore(home).path(release_id)
