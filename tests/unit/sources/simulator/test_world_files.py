"""A world as files: the same bytes always, the same rows as in memory, and the truth beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.errors import ArtefactError, SettingsError
from contracts.fingerprint import fingerprint_file
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, SCHEMAS, USERS_SCHEMA
from sources.simulator.people import BLOCK
from sources.simulator.truth import load_world
from sources.simulator.words import topics_of, words_of
from sources.simulator.world import SimulatedDay, World
from sources.simulator.world_files import write_world
from sources.simulator.world_spec import WorldKind, WorldSpec, world_kind
from sources.simulator.world_tables import simulate_tables

# Two blocks of people, so that more than one process has something to do.
SPEC = WorldSpec(WorldKind.SHOP, n_users=BLOCK + 700, n_items=150, n_days=2, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("world")
    write_world(SPEC, written)
    return written


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): fingerprint_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def rows_of(folder: Path, name: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((folder / name).rglob("*.parquet"))])


def test_the_bytes_are_the_same_again_and_by_two_processes(folder, tmp_path):
    write_world(SPEC, tmp_path, processes=2)
    assert bytes_of(tmp_path) == bytes_of(folder)


def test_another_seed_is_another_world(folder, tmp_path):
    write_world(WorldSpec(WorldKind.SHOP, n_users=300, n_items=150, n_days=2, seed=6), tmp_path)
    ours, theirs = (pl.read_parquet(place / "items/part-00000.parquet") for place in (folder, tmp_path))
    assert ours["item_id"].equals(theirs["item_id"])
    assert not ours["text"].equals(theirs["text"])


def test_block_by_block_or_day_by_day_the_same_happens(folder):
    day = SimulatedDay.concat(list(World(SPEC).days()))
    keys = ["event_ts", "user_id", "item_id", "event_type"]
    assert rows_of(folder, "interactions").sort(keys).equals(day.interactions.sort(keys))
    keys = ["request_id", "position"]
    assert rows_of(folder, "impressions").sort(keys).equals(day.impressions.sort(keys))


def test_no_two_blocks_of_people_are_alike():
    first, second = World(WorldSpec(WorldKind.SHOP, 2 * BLOCK, 100, 1, seed=5))._blocks
    assert not np.isclose(first.people.rate, second.people.rate).mean() > 0.01
    one, other = first.requests(0), second.requests(0)
    assert not np.array_equal(one.person[:500], other.person[:500])
    assert not np.array_equal(one.rng.random(5), other.rng.random(5))


def test_a_day_is_a_partition_and_a_part_is_in_order_of_time(folder):
    assert sorted(path.name for path in (folder / "interactions").iterdir()) == ["day=2024-01-01", "day=2024-01-02"]
    for path in (folder / "interactions").rglob("*.parquet"):
        rows = pl.read_parquet(path)
        assert rows.columns == [*INTERACTIONS_SCHEMA, "device", "day_part", "entry_page"]
        assert set(rows["event_ts"].dt.date().cast(pl.String)) == {path.parent.name.removeprefix("day=")}
        assert rows["event_ts"].is_sorted()


def test_the_truth_lies_beside_the_data_and_answers_like_the_world(folder):
    world, loaded = World(SPEC), load_world(folder)
    list(world.days())
    people = world.users()["user_id"].gather([0, 5, BLOCK + 3]).to_list()
    slate = world.items.ids[:7].to_list()
    asked = [list(one.click_probabilities(people, [slate] * 3)) for one in (world, loaded)]
    assert np.array_equal(*asked)
    items = pl.read_parquet(folder / "truth/items.parquet")
    assert items["vector"].list.sum().to_numpy() == pytest.approx(1)
    assert items["item_id"].equals(world.items_table()["item_id"])


def test_a_truth_that_is_missing_or_damaged_says_so(tmp_path):
    with pytest.raises(ArtefactError, match=r"world\.json is missing"):
        load_world(tmp_path)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/world.json").write_text("{")
    with pytest.raises(ArtefactError, match="damaged"):
        load_world(tmp_path)


@pytest.mark.parametrize("kind", list(WorldKind))
def test_the_canonical_tables_are_canonical(kind):
    tables = simulate_tables(WorldSpec(kind, n_users=400, n_items=150, n_days=5, seed=1))
    for name, schema in SCHEMAS.items():
        assert getattr(tables, name).schema == schema
    assert tables.items["price"].is_null().all() == (kind is WorldKind.ARTICLES)
    assert set(tables.interactions["event_type"]) <= {"click", "view", "add_to_cart", "purchase", "share"}
    assert tables.users.height == 400
    assert (tables.items.columns, tables.users.columns) == (list(ITEMS_SCHEMA), list(USERS_SCHEMA))


def test_money_goes_with_purchases_and_time_with_reading():
    shop, articles = (simulate_tables(WorldSpec(kind, 3_000, 150, 10, 1)).interactions for kind in WorldKind)
    assert set(shop.filter(pl.col("value").is_not_null())["event_type"]) == {"purchase"}
    assert (shop.drop_nulls("value")["value"] > 0).all()
    read = articles.filter(pl.col("event_type").is_in(["click", "view"]))["value"]
    assert read.null_count() == 0
    assert read.is_between(1, 1800).all()


@pytest.mark.parametrize("kind", list(WorldKind))
def test_the_words_of_a_text_tell_its_first_topic(kind):
    world = World(WorldSpec(kind, n_users=1, n_items=300, n_days=1, seed=2))
    items = world.items_table()
    words = [set(words) for words in words_of(kind)]
    counts = np.array([[sum(word in topic for word in text.split()) for topic in words] for text in items["text"]])
    told = [topics_of(kind)[number] for number in counts.argmax(axis=1)]
    first = [categories[0] for categories in items["categories"].to_list()]
    # Thirty words, a fifth of them and more of the second topic: now and then that one is ahead.
    assert np.mean(np.array(told) == first) > 0.9


@pytest.mark.parametrize(
    "wrong", [{"n_users": 0}, {"n_items": 99}, {"n_days": 801}, {"seed": -1}], ids=lambda wrong: next(iter(wrong))
)
def test_a_size_that_no_world_can_have_is_named(wrong):
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        WorldSpec(**{"kind": WorldKind.SHOP, "n_users": 10, "n_items": 100, "n_days": 1, "seed": 1, **wrong})


def test_a_kind_that_there_is_none_of_is_named():
    with pytest.raises(SettingsError, match="Name one of shop, articles"):
        world_kind("cars")
