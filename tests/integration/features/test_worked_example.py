"""The page that shows how to add a feature, followed to the letter in a copy of the rooms."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "add-a-feature.md"
ROOMS = ("contracts", "feature_store", "recommender", "release", "pipelines", "sources", "serving", "cli")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCKS if found == language]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms, with the page's declaration where the page puts it."""
    folder = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("__init__.py", "worlds.py"):
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    (place,) = re.findall(r"^Write `(.+)`:$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    (folder / place).write_text(blocks("python")[0])
    families = (folder / place).with_name("__init__.py")
    families.write_text(families.read_text().replace("    value_total,\n", "    value_total,\n    weekend,\n"))
    return folder


def run(copy: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_value_is_the_one_that_the_page_prints(copy: Path):
    assert run(copy, "-c", blocks("python")[1]) == blocks("text")[0]


def test_the_command_line_and_the_printed_docs_tell_of_it(copy: Path):
    command, expected = blocks("console")[0].split("\n", 1)
    arguments = command.removeprefix("$ slate ").split()
    assert run(copy, "-m", "cli.main", *arguments) == expected
    assert "user_weekend_share_90d" in run(copy, "-m", "cli.main", "features", "list")
    assert "`user_weekend_share_90d`" in run(copy, "-m", "cli.data.feature_page")


def test_it_is_learnt_into_the_schema(copy: Path):
    learn = """
from datetime import UTC, datetime
import polars as pl
from contracts.features import Entity
from feature_store.offline.offline_store import learn_schema, point_in_time_join
from tests.worlds import small_world
asked = pl.DataFrame({"user_id": ["u500", "u501"], "as_of": [datetime(2020, 3, 1, tzinfo=UTC)] * 2})
training = point_in_time_join(asked, small_world(), Entity.USER)
print("user_weekend_share_90d" in learn_schema(training, Entity.USER).names)
"""
    assert run(copy, "-c", learn) == "True\n"


def test_the_printed_page_of_this_checkout_is_not_stale():
    assert run(ROOT, "-m", "cli.data.feature_page") == (ROOT / "docs" / "features.md").read_text(encoding="utf-8"), (
        "docs/features.md does not say what is declared. Run `make docs`."
    )
