"""A run whose validation DVC skipped has the report of whoever made the same result."""

from pathlib import Path

import pytest

from contracts.home import Home
from pipelines.paths import VALIDATION_RESULT
from pipelines.runs.validation_report import bring_report
from pipelines.runs.workspace import Workspace


def report(home: Home, run: str, result: str, page: str) -> Path:
    folder = home.runs / run / "validation"
    (folder / "quarantine").mkdir(parents=True)
    (folder / "validation.json").write_text(result)
    (folder / "index.html").write_text(page)
    return folder


@pytest.fixture
def workspace(home: Home) -> Workspace:
    made = Workspace(home, "run-1")
    (made.folder / VALIDATION_RESULT).parent.mkdir(parents=True)
    (made.folder / VALIDATION_RESULT).write_text("new")
    return made


def test_the_report_of_an_equal_result_stands_in(home: Home, workspace: Workspace) -> None:
    report(home, "other", "old", "of old data")
    report(home, "main", "new", "of this data")
    bring_report(workspace)
    mine = home.runs / "run-1" / "validation"
    assert (mine / "index.html").read_text() == "of this data"
    assert (mine / "quarantine").is_dir()


def test_a_report_of_an_earlier_try_gives_way_and_its_own_stays(home: Home, workspace: Workspace) -> None:
    mine = report(home, "run-1", "old", "of a try that failed")
    bring_report(workspace)
    assert (mine / "index.html").read_text() == "of a try that failed"  # nobody has another
    report(home, "main", "new", "of this data")
    bring_report(workspace)
    assert (mine / "index.html").read_text() == "of this data"
    (mine / "index.html").write_text("its own")
    bring_report(workspace)
    assert (mine / "index.html").read_text() == "its own"
