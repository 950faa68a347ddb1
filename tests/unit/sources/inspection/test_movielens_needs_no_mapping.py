"""A folder or zip as GroupLens publishes it: `slate inspect` names the source that reads it."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import SourceError
from contracts.settings.settings import load_settings
from sources.inspection.inspection import inspect_files

FILES = {
    "ml-100k": ("u.data", "u.item", "README"),
    "ml-1m": ("ratings.dat", "movies.dat", "users.dat"),
    "RecBole's atomic files": ("x.inter", "x.item"),
}


def inspect(path: Path) -> None:
    inspect_files([str(path)], load_settings(Path("params.yaml")).validate_, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("layout", FILES)
@pytest.mark.parametrize("how", ["folder", "folder in a folder", "zip"])
def test_a_published_layout_is_named_with_the_source_that_reads_it(tmp_path: Path, layout: str, how: str) -> None:
    folder = tmp_path / ("data/ml" if how == "folder in a folder" else "data")
    folder.mkdir(parents=True)
    for name in FILES[layout]:
        (folder / name).write_text("1\t2\t3\t4\n")
    path = tmp_path / "data"
    if how == "zip":
        path = tmp_path / "ml.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in FILES[layout]:
                archive.write(folder / name, f"ml/{name}")
    with pytest.raises(SourceError) as told:
        inspect(path)
    assert layout in told.value.problem
    assert f"ingest.source to `movielens`, ingest.name to null and ingest.path to {path}" in told.value.next_step


def test_another_zip_is_still_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.writestr("orders.csv", "a,b\n1,2\n")
    with pytest.raises(SourceError, match="is an archive"):
        inspect(tmp_path / "shop.zip")
