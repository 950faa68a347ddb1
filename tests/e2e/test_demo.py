"""The demo, as a new user runs it: real data, real Redis, real MLflow, real HTTP."""

import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest

from contracts.failure import TRY_AGAIN
from contracts.tables import CanonicalTables
from tests.e2e.conftest import make_checkout

pytestmark = pytest.mark.slow

SLATE = ("python", "-m", "cli.main")


@pytest.fixture(scope="module")
def first_output(built) -> str:
    return (built.folder.parent / "demo.log").read_text()


def processes_of(home) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(home) in line]


def test_the_tables_are_those_of_movielens_100k(built):
    tables = CanonicalTables.load(built.folder / "data/raw")
    assert (tables.interactions.height, tables.items.height, tables.users.height) == (100_000, 1_682, 943)
    assert tables.items["categories"].explode(empty_as_null=False, keep_nulls=False).n_unique() == 18
    assert tables.items.row(by_predicate=pl.col("item_id") == "1", named=True)["title"] == "Toy Story"
    assert tables.items.filter(pl.col("release_year").is_null())["item_id"].to_list() == ["267"]


def test_the_demo_shows_slates_for_three_kinds_of_people(first_output):
    for tier in ("personal", "onboarded", "session"):
        assert f"tier {tier}," in first_output


def test_the_demo_names_every_stage_with_its_cost(built, first_output):
    for stage in (
        "ingest",
        "validate",
        "features",
        "candidates@test",
        "index@all",
        "ranking",
        "evaluate",
        "release",
    ):
        assert f"\n{stage} " in first_output


def test_the_slates_beat_both_popular_lists_for_people_with_a_history(built):
    metrics = json.loads((built.folder / "reports/evaluation/metrics.json").read_bytes())
    headline = metrics["headline"]
    assert headline["people"] == 90
    for rival in ("popular", "popular_recent"):
        assert headline["ndcg_at_10"] > headline[rival]
        assert metrics["ndcg_at_10_gain_over"][rival]["low"] > 0


def test_the_demo_leaves_nothing_running(built, first_output):
    assert processes_of(built.home) == []


def test_the_demo_leaves_nothing_that_git_does_not_know(built):
    """A user's first `git status` shows their own edits alone; what was built is committed, or ignored."""
    assert built.run("git", "status", "--porcelain").stdout == ""


def test_a_second_demo_builds_nothing_and_publishes_nothing(built):
    again = built.run(*SLATE, "demo")
    assert again.returncode == 0, again.stderr
    assert "is in production already" in again.stdout
    assert "Running stage 'ranking" not in again.stdout + again.stderr


def test_after_a_build_only_publish_counts_as_changed(built):
    changed = json.loads(built.run("dvc", "status", "--json").stdout)
    assert changed == {"publish": ["always changed"]}


def test_a_stage_interrupted_in_the_middle_goes_on_at_the_next_run(tmp_path):
    checkout = make_checkout(tmp_path)
    process = subprocess.Popen(
        ["dvc", "repro", "features"],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "Running stage 'features'" in line:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everyone in the foreground
            break
    rest, _ = process.communicate()
    assert process.returncode != 0, "".join(seen) + rest
    assert "Traceback" not in rest
    again = checkout.run("dvc", "repro", "features")
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_store_that_is_away_is_told_before_anything_is_built(tmp_path):
    checkout = make_checkout(tmp_path)
    nobody_listens = {**checkout.environment, "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo"],
        cwd=checkout.folder,
        env=nobody_listens,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == TRY_AGAIN
    assert "StoreUnavailable: redis://127.0.0.1:1/0" in done.stderr
    assert not (checkout.folder / "data").exists()
