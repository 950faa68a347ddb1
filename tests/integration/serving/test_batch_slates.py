"""Slates for everybody: what the API answers, for all people, in parts that survive being stopped."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, Busy, UnknownId, WrongInput, refused_by_system
from contracts.events import EventType
from contracts.filters import Condition, Operator, filter_in
from contracts.slates import RecommendRequest
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.readers.values_stream import people_chunks
from feature_store.values.values_folder import ValuesFolder
from release.answering.request_path import answer
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from serving.batch import everybody, on_spark
from serving.batch.everybody import write_slates
from serving.batch.part_answers import BatchJob, Part
from serving.batch.parts import SLATE_SCHEMA, BatchHeader, part_path
from serving.batch.people_file import named_people
from tests.integration.serving.worlds import Stage
from tests.spark import needs_spark


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everybody, "PEOPLE_PER_PART", 16)


def slates(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(sorted(folder.glob("part-*.parquet")))


def answered_online(stage: Stage, user_id: str, header: BatchHeader) -> list[tuple[Any, ...]]:
    """What a server answers this person at the batch's moment, from Redis, as rows of SLATE_SCHEMA."""
    release = load_bundle(BundleStore(stage.home).path(header.release_id))
    reader = RedisFeatureReader(
        stage.redis, stage.settings.app, header.generation_id, release.schemas, release.catalogue.ids
    )
    passing = None if header.filter is None else filter_in(header.filter)
    request = RecommendRequest(
        "q", user_id=user_id, k=header.k, seed=stage.settings.seed, filter=passing, placement=header.placement
    )
    slate = answer(release, reader, FixedClock(header.now), request)
    served = (str(slate.tier), slate.release_id, slate.generation_id)
    return [(user_id, item.position, item.item_id, item.score, item.source, *served) for item in slate.items]


def test_everybody_gets_what_the_api_answers_them_at_that_moment_recent_clicks_included(
    stage: Stage, tmp_path: Path, small_parts: None
):
    stage.point_at(0)
    people = ValuesFolder(GenerationStore(stage.home).path(*stage.pairs[0])).counts["n_users"]
    users = pl.concat(
        [chunk.users for chunk in people_chunks(ValuesFolder(GenerationStore(stage.home).path(*stage.pairs[0])), 7)]
    )["user_id"].to_list()
    item = load_bundle(BundleStore(stage.home).path(stage.pairs[0][0])).catalogue.ids.ids[3]
    clicked = RecentEvent(EventType.VIEW, item, int(stage.as_of.timestamp() * 1e6) + 1, float("nan"), user_id=users[0])
    append_events(stage.redis, stage.settings.app, [clicked], session=Retention(50, 600), recent=Retention(50, 600))

    header = write_slates(stage.home, stage.settings, tmp_path / "slates", None, 5, n_processes=2)
    rows = slates(tmp_path / "slates")
    assert rows.schema == SLATE_SCHEMA
    assert len(list((tmp_path / "slates").glob("part-*.parquet"))) == -(-people // 16) + 1
    assert rows["user_id"].unique(maintain_order=True).to_list() == sorted(users)
    assert (header.n_people, header.n_rows) == (people, rows.height)
    assert set(rows.select("release_id", "generation_id").unique().row(0)) == set(stage.pairs[0])
    for user_id in users[:12]:
        own = rows.filter(pl.col("user_id") == user_id).rows()
        assert own == answered_online(stage, user_id, header)
    assert item not in rows.filter(pl.col("user_id") == users[0])["item_id"].to_list()


def test_a_batch_for_a_placement_has_the_slates_of_that_placement(stage: Stage, tmp_path: Path) -> None:
    stage.point_at(0)
    people = tmp_path / "people.csv"
    people.write_text("user_id\nu500\nu501\n")
    header = write_slates(stage.home, stage.settings, tmp_path / "cart", people, 5, n_processes=1, placement="cart")
    for user_id in ("u500", "u501"):
        own = slates(tmp_path / "cart").filter(pl.col("user_id") == user_id).rows()
        assert own == answered_online(stage, user_id, header)
    with pytest.raises(WrongInput, match=r"7 items are wanted; release .* answers 1 to 6"):
        write_slates(stage.home, stage.settings, tmp_path / "more", people, 7, n_processes=1, placement="cart")


def test_a_run_that_was_stopped_goes_on_at_its_own_moment_and_gives_the_same_rows(
    stage: Stage, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
):
    stage.point_at(0)
    whole = write_slates(stage.home, stage.settings, tmp_path / "whole", None, 5, n_processes=1)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    replace(whole, n_people=None, n_rows=None).save(stopped)
    part_path(stopped, 1).write_bytes(part_path(tmp_path / "whole", 1).read_bytes())
    written_before = part_path(stopped, 1).stat().st_mtime_ns
    again = write_slates(stage.home, stage.settings, stopped, None, 5, n_processes=1)
    assert again == whole
    assert part_path(stopped, 1).stat().st_mtime_ns == written_before
    assert slates(stopped).equals(slates(tmp_path / "whole"))
    # Whole, it is not begun again, whatever the files say.
    part_path(stopped, 0).unlink()
    assert write_slates(stage.home, stage.settings, stopped, None, 5, n_processes=1) == whole
    assert not part_path(stopped, 0).exists()


def test_a_run_that_is_killed_while_it_writes_a_part_goes_on_and_gives_the_same_bytes(
    stage: Stage, tmp_path: Path, small_parts: None
):
    stage.point_at(0)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    program = (
        "import os, pathlib, pickle, signal, sys\n"
        "from serving.batch import everybody\n"
        "everybody.PEOPLE_PER_PART = 16\n"
        "move = pathlib.Path.replace\n"
        "def die_at_the_second(path, target):\n"
        "    if target.name == 'part-000001.parquet':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return move(path, target)\n"
        "pathlib.Path.replace = die_at_the_second\n"
        "everybody.write_slates(*pickle.load(sys.stdin.buffer), None, 5, 1)\n"
    )
    asked = pickle.dumps((stage.home, stage.settings, killed))
    done = subprocess.run([sys.executable, "-c", program], input=asked, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = BatchHeader.load(killed)
    assert left is not None
    assert not left.is_whole
    assert sorted(path.name for path in killed.glob("part-*")) == ["part-000000.parquet", "part-000001.parquet.part"]

    first = part_path(killed, 0).stat().st_mtime_ns
    header = write_slates(stage.home, stage.settings, killed, None, 5, n_processes=1)
    assert header.now == left.now
    assert part_path(killed, 0).stat().st_mtime_ns == first
    whole.mkdir()
    left.save(whole)
    write_slates(stage.home, stage.settings, whole, None, 5, n_processes=1)
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


def test_while_one_writes_into_a_folder_another_is_told_to_wait(stage: Stage, tmp_path: Path):
    stage.point_at(0)
    with (
        everybody._alone_in(tmp_path / "slates", stage.home),
        pytest.raises(Busy, match="Another process holds ") as raised,
    ):
        write_slates(stage.home, stage.settings, tmp_path / "there" / ".." / "slates", None, 5, 1)
    assert "Another `slate batch` writes into" in raised.value.next_step
    assert not (tmp_path / "slates").exists()


def test_a_part_that_is_damaged_is_named_and_written_anew_once_it_is_away(
    stage: Stage, tmp_path: Path, small_parts: None
):
    stage.point_at(0)
    folder = tmp_path / "slates"
    whole = write_slates(stage.home, stage.settings, folder, None, 5, n_processes=1)
    replace(whole, n_people=None, n_rows=None).save(folder)
    part, content = part_path(folder, 1), part_path(folder, 1).read_bytes()
    part.write_bytes(content[:200])
    with pytest.raises(ArtefactError, match=f"{part} is damaged: ") as raised:
        write_slates(stage.home, stage.settings, folder, None, 5, n_processes=1)
    assert raised.value.next_step == "Remove it, and run the same command again: it is written anew."
    part.unlink()
    assert write_slates(stage.home, stage.settings, folder, None, 5, n_processes=1) == whole
    assert part.read_bytes() == content


def test_the_people_of_a_file_are_answered_known_or_not(stage: Stage, tmp_path: Path, small_parts: None):
    stage.point_at(0)
    (tmp_path / "people.csv").write_text("user_id,mail\nzzz,a\n007,b\nu510,c\nu510,d\n")
    header = write_slates(stage.home, stage.settings, tmp_path / "slates", tmp_path / "people.csv", 3, n_processes=1)
    rows = slates(tmp_path / "slates")
    assert rows["user_id"].unique(maintain_order=True).to_list() == ["007", "u510", "zzz"]
    assert rows.filter(pl.col("user_id") == "007")["tier"].unique().to_list() == ["popular"]
    assert (header.n_people, header.n_rows) == (3, 9)
    assert (header.n_guests, header.n_unknown) == (0, 2)


def test_slates_under_a_filter_are_what_the_api_answers_under_it(stage: Stage, tmp_path: Path):
    stage.point_at(0)
    (tmp_path / "people.csv").write_text("user_id\nu510\nu511\nzzz\n")
    folder, people = tmp_path / "slates", tmp_path / "people.csv"
    drama = Condition("categories", Operator.EQUALS, "Drama")
    header = write_slates(stage.home, stage.settings, folder, people, 5, 1, drama)
    rows = slates(folder)
    for user_id in ("u510", "u511", "zzz"):
        own = rows.filter(pl.col("user_id") == user_id).rows()
        assert own == answered_online(stage, user_id, header)
    known = load_bundle(BundleStore(stage.home).path(header.release_id)).catalogue
    assert {known.title(item_id).split("(")[1] for item_id in rows["item_id"]} == {"drama)"}
    with pytest.raises(WrongInput, match=r"holds slates of filter .* asked for is None"):
        write_slates(stage.home, stage.settings, folder, people, 5, 1)
    with pytest.raises(UnknownId, match="has no field 'price'"):
        write_slates(stage.home, stage.settings, folder, people, 5, 1, Condition("price", Operator.AT_MOST, 5.0))


def test_a_folder_of_other_slates_or_of_somebody_elses_files_is_refused(stage: Stage, tmp_path: Path):
    stage.point_at(0)
    (tmp_path / "people.csv").write_text("user_id\nu510\n")
    write_slates(stage.home, stage.settings, tmp_path / "slates", tmp_path / "people.csv", 3, n_processes=1)
    with pytest.raises(WrongInput, match="holds slates of k 3; asked for is 4"):
        write_slates(stage.home, stage.settings, tmp_path / "slates", tmp_path / "people.csv", 4, n_processes=1)
    stage.point_at(1)
    with pytest.raises(WrongInput, match=f"holds slates of release_id {stage.pairs[0][0]}"):
        write_slates(stage.home, stage.settings, tmp_path / "slates", tmp_path / "people.csv", 3, n_processes=1)
    with pytest.raises(WrongInput, match=r"is not empty, and holds no batch\.json"):
        write_slates(stage.home, stage.settings, tmp_path, None, 3, n_processes=1)
    (tmp_path / "slates" / "batch.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"batch\.json is damaged"):
        write_slates(stage.home, stage.settings, tmp_path / "slates", None, 3, n_processes=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("person\nu1\n", "gives no people: its columns are person"),
        ("", "gives no people: its columns are none"),
        ("user_id\n" + "x" * 300 + "\n", "has 300 characters"),
        ("user_id,town\nu1,Ulm\n\nu2\n", "has 1 cells in line 4, where it names 2 columns: 'u2'"),
        ("town,user_id\nUlm,u1\nUlm,Donau,u2\n", "has 3 cells in line 3, .* 'Ulm,Donau,u2'"),
        ('town,user_id\n"Ulm\n(Donau)",u1\nUlm,\n', "has no user_id in line 4"),
        ("user_id\n\xe4\n", "gives no people: .*decode"),
        ('user_id\n"u1\n', "gives no people: unexpected end"),
        (None, "no file"),
    ],
)
def test_a_file_that_names_no_people_or_not_all_is_refused_in_words(tmp_path: Path, content: str | None, message: str):
    path = tmp_path / "people.csv"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(WrongInput, match=message):
        named_people(path)


def test_a_row_of_a_parquet_file_without_an_id_is_refused_with_its_number(tmp_path: Path):
    path = tmp_path / "people.parquet"
    pl.DataFrame({"user_id": [7, 42, None, 7]}).write_parquet(path)
    with pytest.raises(WrongInput, match="no user_id in row 3"):
        named_people(path)
    pl.DataFrame({"user_id": [0, 42, 0]}).write_parquet(path)
    assert named_people(path) == ["0", "42"]


def test_the_command_says_how_many_of_what(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from cli import batch
    from cli.main import command_line

    stage.point_at(0)
    (tmp_path / "people.csv").write_text("user_id\nu510\nu511\n")
    monkeypatch.setattr(batch, "load_settings", lambda: stage.settings)
    monkeypatch.setattr(batch, "find_home", lambda: stage.home)
    out = ["batch", "--out", str(tmp_path / "slates"), "--people", str(tmp_path / "people.csv"), "--k", "3"]
    runner = CliRunner()
    assert (
        "6 rows for 2 people"
        in runner.invoke(command_line(), [*out, "--processes", "1"], catch_exceptions=False).output
    )
    counts = json.loads(runner.invoke(command_line(), [*out, "--json"], catch_exceptions=False).stdout)
    assert (counts["people"], counts["guests"], counts["unknown"]) == (2, 0, 0)
    (tmp_path / "others.csv").write_text("user_id\nu510\nmail@a\nsession:no-such\n")
    others = ["batch", "--out", str(tmp_path / "others"), "--people", str(tmp_path / "others.csv"), "--k", "3"]
    told = runner.invoke(command_line(), [*others, "--processes", "1"], catch_exceptions=False)
    assert "for 3 people (1 guest among them, 2 not known)" in told.stdout
    assert "2 of the 3 people of" in told.stderr
    with pytest.raises(WrongInput, match="`--processes 2` says nothing to Spark"):
        runner.invoke(command_line(), [*out, "--engine", "spark", "--processes", "2"], catch_exceptions=False)


def test_a_full_disk_names_the_file_and_the_same_command_goes_on(
    stage: Stage, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
):
    stage.point_at(0)
    folder, write_parquet = tmp_path / "slates", pl.DataFrame.write_parquet

    def full(table: pl.DataFrame, path: Path, **options: Any) -> None:
        write_parquet(table, "/dev/full" if "000001" in path.name else path, **options)

    with monkeypatch.context() as of_a_full_disk:
        of_a_full_disk.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(OSError, match="No space left") as refused:
            write_slates(stage.home, stage.settings, folder, None, 5, 1)
    told = str(refused_by_system(refused.value))
    assert told.startswith(f"No space left on device ({part_path(folder, 1)}).\n  Free disk space")
    assert "run the same command again to go on" in told
    assert [path.name for path in sorted(folder.iterdir())] == ["batch.json", "part-000000.parquet"]
    assert write_slates(stage.home, stage.settings, folder, None, 5, 1).n_people == 60


@pytest.mark.parametrize("n_people", [1, 3, 1000])
def test_people_come_in_order_whole_and_once_however_they_are_cut(stage: Stage, n_people: int):
    source = ValuesFolder(GenerationStore(stage.home).path(*stage.pairs[0]))
    chunks = list(people_chunks(source, n_people))
    users = pl.concat(source.batches("user", 10_000))
    histories = pl.concat(source.batches("history", 10_000))
    assert pl.concat([chunk.users for chunk in chunks]).equals(users)
    assert pl.concat([chunk.histories for chunk in chunks]).equals(histories)
    assert chunks[0].after is None
    assert chunks[-1].up_to is None
    for chunk in chunks:
        assert all(chunk.covers(user_id) for user_id in chunk.user_ids)
    for before, after in pairwise(chunks):
        assert before.up_to == after.after


ON_A_CLUSTER = (
    "--master local-cluster[2,1,1024] --conf spark.sql.shuffle.partitions=2 --conf spark.executor.memory=1g"
    ' --driver-java-options "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" pyspark-shell'
)


@needs_spark
def test_executors_of_spark_write_the_same_bytes(stage: Stage, tmp_path: Path, small_parts: None):
    """On a cluster of two executors, each a process of its own."""
    stage.point_at(0)
    here, there = tmp_path / "here", tmp_path / "there"
    header = write_slates(stage.home, stage.settings, here, None, 5, n_processes=1)
    there.mkdir()
    replace(header, n_people=None, n_rows=None).save(there)
    program = (
        "import pickle, sys\n"
        "from serving.batch import everybody\n"
        "everybody.PEOPLE_PER_PART = 16\n"
        "everybody.write_slates(*pickle.load(sys.stdin.buffer), None, 5, 1, engine='spark')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((stage.home, stage.settings, there)),
        env={**os.environ, "PYSPARK_SUBMIT_ARGS": ON_A_CLUSTER},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    written = {path.name: path.read_bytes() for path in there.iterdir()}
    assert len(written) > 5
    assert written == {path.name: path.read_bytes() for path in here.iterdir()}


def test_what_stops_an_executor_is_told_as_it_is(stage: Stage, tmp_path: Path):
    stage.point_at(0)
    header = write_slates(stage.home, stage.settings, tmp_path / "slates", None, 5, n_processes=1)
    values = GenerationStore(stage.home).path(*stage.pairs[0])
    gone = replace(header, release_id="r-gone")
    job = BatchJob(stage.home, stage.settings.app, "redis://127.0.0.1:1", 100, values, tmp_path, gone, 7)
    part = Part(3, next(people_chunks(ValuesFolder(values), 16)), ["u510"])
    [told] = on_spark._answer_rows(job, iter([pa.RecordBatch.from_pydict({"part": [pickle.dumps(part)]})]))
    number, error = pickle.loads(told["answered"][0].as_py())
    assert (number, type(error)) == (3, ArtefactError)
    assert "r-gone" in str(error)
