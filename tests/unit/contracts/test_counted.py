"""Counts in sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.counted import counted

ROOT = Path(__file__).parents[3]
ROOMS = (
    "bench",
    "cli",
    "contracts",
    "dags",
    "feature_store",
    "pipelines",
    "recommender",
    "release",
    "serving",
    "sources",
)


def test_one_is_written_as_one_and_many_as_many() -> None:
    assert [counted(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert counted(1, "file has", "files have") == "1 file has"
    assert counted(2, "file has", "files have") == "2 files have"


@pytest.mark.parametrize("room", ROOMS)
def test_no_message_leaves_it_to_the_reader_how_many_there_are(room: str) -> None:
    undecided = re.compile(r"[a-z]\(s\)")
    found = [str(path) for path in (ROOT / room).rglob("*.py") if undecided.search(path.read_text())]
    assert found == []
