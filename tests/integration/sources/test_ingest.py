"""The ingest stage: from a source to data/raw/, the same bytes each time, whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import SourceError
from contracts.home import Home
from contracts.settings.settings import Settings, load_settings
from contracts.tables import SCHEMAS, CanonicalTables
from pipelines import ingest
from pipelines.paths import RAW

CHECKOUT = Path(__file__).parents[3]
LATEST_SMALL = CHECKOUT.parent / "shared" / "data" / "ml-latest-small.zip"


@pytest.fixture
def workspace(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git checkout that is the current folder."""
    folder = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    monkeypatch.chdir(folder)
    return folder


def settings_for(path: Path | str) -> Settings:
    settings = load_settings(CHECKOUT / "params.yaml")
    source = settings.ingest.model_copy(update={"source": "movielens", "path": str(path)})
    return settings.model_copy(update={"ingest": source})


def make_set(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n9,7,3.0,881250949\n12,7,4.0,881250950\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n7,Toy Story (1995),Animation|Comedy\n")
    return folder


def digests() -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in RAW.iterdir()}


def test_the_three_tables_are_written(workspace: Path) -> None:
    notes = ingest.run(settings_for(make_set(workspace / "ml")))
    tables = CanonicalTables.load(RAW)
    assert notes["rows"] == {"interactions": 2, "items": 1, "users": 0}
    assert {name: getattr(tables, name).schema for name in SCHEMAS} == SCHEMAS


def test_equal_sources_give_equal_bytes(workspace: Path) -> None:
    folder = make_set(workspace / "ml")
    ingest.run(settings_for(folder))
    before = digests()
    head, *lines = (folder / "ratings.csv").read_text().splitlines()
    (folder / "ratings.csv").write_text("\n".join([head, *reversed(lines)]) + "\n")
    ingest.run(settings_for(folder))
    assert digests() == before


def test_a_source_that_cannot_be_read_leaves_data_raw_as_it_was(workspace: Path) -> None:
    folder = make_set(workspace / "ml")
    ingest.run(settings_for(folder))
    before = digests()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n9,7,three,881250949\n")
    with pytest.raises(SourceError, match="found 'three'"):
        ingest.run(settings_for(folder))
    assert digests() == before
    assert [path.name for path in RAW.parent.iterdir()] == ["raw"]


def test_a_relative_path_is_one_of_the_current_folder(workspace: Path) -> None:
    make_set(workspace / "ml")
    assert ingest.run(settings_for("ml"))["rows"]["interactions"] == 2


def test_a_path_that_is_nowhere_says_where_it_was_looked_for(workspace: Path) -> None:
    with pytest.raises(SourceError, match=r"ingest\.path is gone\.zip") as caught:
        ingest.run(settings_for("gone.zip"))
    assert str(workspace / "gone.zip") in caught.value.problem
    assert not RAW.exists()


@pytest.mark.skipif(not LATEST_SMALL.is_file(), reason="ml-latest-small.zip is not beside this checkout")
def test_the_real_ml_latest_small_is_read(workspace: Path) -> None:
    notes = ingest.run(settings_for(LATEST_SMALL))
    assert notes["rows"] == {"interactions": 100_836, "items": 9_742, "users": 0}
    tables = CanonicalTables.load(RAW)
    assert tables.interactions["user_id"].n_unique() == 610
    assert tables.items.row(by_predicate=pl.col("item_id") == "122896", named=True)["categories"] == []
    quoted = tables.items.row(by_predicate=pl.col("item_id") == "7789", named=True)
    assert (quoted["title"], quoted["release_year"]) == ("11'09\"01 - September 11", 2002)
    assert tables.items["release_year"].null_count() == 12  # counted in movies.csv: titles that end in no year
