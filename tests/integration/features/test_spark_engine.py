"""The same declarations on Spark, over real data: the same values, bit for bit."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import EngineMissing
from contracts.features import Entity
from contracts.home import Home, find_home
from contracts.spark_session import check_spark
from contracts.tables import CanonicalTables
from feature_store.offline.engines import open_engine
from feature_store.offline.offline_store import point_in_time_join, values_as_of
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.movielens import read_movielens
from tests.spark import needs_spark

pytestmark = [
    # py4j leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def films() -> CanonicalTables:
    """MovieLens 100K as it is."""
    return read_movielens(fetch_movielens_100k(find_home()))


@needs_spark
@pytest.mark.parametrize("entity", list(Entity))
def test_spark_gives_the_values_of_duckdb_bit_for_bit_on_real_data(films: CanonicalTables, entity: Entity) -> None:
    key = f"{entity}_id"
    moments = films.interactions["event_ts"].sort()
    ids = films.interactions[key].unique().sort()
    spine = pl.concat([pl.DataFrame({key: ids, "as_of": [moments[at]] * len(ids)}) for at in (20_000, 70_000)]).sample(
        fraction=1.0, shuffle=True, seed=3
    )
    by_duckdb = point_in_time_join(spine, films, entity)
    by_spark = point_in_time_join(spine, films, entity, engine="spark")
    assert by_spark.columns == by_duckdb.columns
    for name in by_duckdb.columns:
        assert by_spark[name].equals(by_duckdb[name]), name
    assert by_duckdb[f"{entity}_event_count_30d"].max() > 0


@needs_spark
def test_the_latest_values_are_of_the_same_generation_whatever_computed_them(world: CanonicalTables) -> None:
    shop = dear(world)
    as_of = shop.interactions["event_ts"][900]
    by_spark, by_duckdb = values_as_of(shop, as_of, 50, engine="spark"), values_as_of(shop, as_of, 50)
    assert by_spark.generation_id == by_duckdb.generation_id
    assert by_duckdb.users["user_price_std_total"].max() > 1e8


def dear(world: CanonicalTables) -> CanonicalTables:
    """The same as a shop in a small currency, with prices as large as any may be."""
    price = pl.int_range(pl.len()) * 37_654_321.25 + 0.125
    return replace(
        world,
        interactions=world.interactions.with_columns(value=pl.col("value") * 199_999_999.5),
        items=world.items.with_columns(price=price.clip(upper_bound=1e9)),
    )


def test_without_java_spark_says_what_to_install_and_duckdb_goes_on(
    monkeypatch: pytest.MonkeyPatch, world: CanonicalTables, home: Home
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda program, path=None: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(EngineMissing, match="needs Java; there is none in JAVA_HOME or on PATH") as caught:
        open_engine("spark")
    assert "openjdk-17" in caught.value.next_step
    assert values_as_of(world, world.interactions["event_ts"][900], 50).users.height > 0


def test_without_pyspark_spark_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match="there is no pyspark") as caught:
        check_spark()
    assert "make spark" in caught.value.next_step


@needs_spark
def test_what_sparks_own_configuration_says_comes_before_ours(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.master local[1]\nspark.driver.memory 700m\n")
    program = (
        "from contracts.spark_session import spark_session\n"
        "context = spark_session().sparkContext\n"
        "java = context._jvm.java.lang.Runtime.getRuntime()\n"
        "print('>', context.master, java.maxMemory() < 1e9, context.getConf().get('spark.ui.enabled'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYSPARK_SUBMIT_ARGS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "SPARK_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "> local[1] True false" in done.stdout
