"""The stage `release`, run in a folder that stands for a checkout."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from contracts.errors import ReleaseMismatch
from contracts.fingerprint import fingerprint_file
from contracts.settings.settings import Settings
from pipelines import release
from pipelines.paths import BUNDLE, INDEX, VALID
from release.bundle.code_version import code_fingerprint
from release.bundle.manifest import load_manifest
from tests.release_worlds import CHECKOUT, link_code


@pytest.fixture
def checkout(workspace: Path, tmp_path: Path) -> Path:
    """The stages' outputs beside the rooms of this checkout."""
    folder = Path(shutil.copytree(workspace, tmp_path / "checkout"))
    link_code(folder)
    return folder


def test_the_stage_names_the_data_and_the_code_it_was_built_from(checkout: Path, settings: Settings) -> None:
    with chdir(checkout):
        notes = release.run(settings)
        again = release.run(settings)
    manifest = load_manifest(checkout / BUNDLE)
    assert notes == again == {"release_id": manifest.release_id, "generation_id": manifest.generation_id}
    assert manifest.code == code_fingerprint(CHECKOUT)
    assert manifest.data["interactions"] == fingerprint_file(checkout / VALID / "interactions.parquet")


def test_artefacts_of_two_fits_stop_the_stage_and_leave_no_release(checkout: Path, settings: Settings) -> None:
    shutil.rmtree(checkout / INDEX / "all")
    shutil.copytree(checkout / INDEX / "test", checkout / INDEX / "all")
    with chdir(checkout), pytest.raises(ReleaseMismatch, match="built from embeddings"):
        release.run(settings)
    assert not (checkout / BUNDLE / "manifest.json").exists()
