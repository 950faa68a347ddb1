"""What the last step of a run asks for, by `promotion.after_training`: real git, DVC, MLflow and Redis."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runs import run_step, workspace
from pipelines.runs.record import record_run
from pipelines.runs.repository import Repository
from release.journal.entries import Action
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
RUN_ID = "scheduled__2026-11-01T00:00:00+00:00"
GRAPH = """
stages:
  nothing:
    cmd: python -c "from pathlib import Path; Path('nothing').write_text('')"
    outs: [nothing]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit and a graph that makes nothing, to be copied."""
    root = tmp_path_factory.mktemp("template") / "checkout"
    root.mkdir()
    (root / "dvc.yaml").write_text(GRAPH)
    (root / ".gitignore").write_text("/nothing\n/build/\n")
    shutil.copy(CHECKOUT / "params.yaml", root)
    git = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (
        [*git, "init", "--quiet", "--initial-branch", "main"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        [*git, "add", "--all"],
        [*git, "commit", "--quiet", "-m", "Start"],
    ):
        subprocess.run(command, cwd=root, check=True)
    return root


@pytest.fixture
def record(studio: Studio, template: Path, tmp_path: Path):
    """Ends a run that made the release of a version, with one parameter set otherwise; returns what it said last."""
    repository = Repository(Path(shutil.copytree(template, tmp_path / "checkout")))

    def run(version: int, after_training: str, run_id: str = RUN_ID) -> str:
        overrides = {"promotion.after_training": after_training}
        made = workspace.prepare(repository, studio.home, run_id, "HEAD", overrides)
        run_step.reproduce(made, "nothing")
        bundle = studio.home.bundles / studio.registry.version(version).release_id
        shutil.copytree(bundle, made.folder / "build" / "release")
        said = record_run(repository, studio.home, run_id)[-1]
        assert not made.folder.exists()
        return said

    return run


@pytest.mark.parametrize(
    ("wanted", "said", "stage", "served"),
    [
        ("none", "promotion: none asked for", "None", None),
        ("staging", "promotion: accepted. 1 not judged (latency), 5 passed.", "Staging", None),
        ("production", "promotion: accepted. ", "Production", 1),
    ],
)
def test_a_run_ends_with_what_the_parameter_says(
    record, studio: Studio, wanted: str, said: str, stage: str, served: int | None
) -> None:
    assert record(1, wanted).startswith(said)
    assert (studio.stages()[1], studio.served()) == (stage, served)
    asked = [entry.requester for entry in studio.entries(Action.STAGE, Action.PROMOTE)]
    assert set(asked) == (set() if wanted == "none" else {"training"})


def test_a_run_whose_release_is_refused_ends_well_and_says_why(record, studio: Studio) -> None:
    record(1, "production")
    said = record(3, "production", "scheduled__2026-11-02T00:00:00+00:00")
    assert said.startswith("promotion: refused. ")
    assert studio.served() == 1
    assert studio.registry.version(3).tags["slate.decision"] == "refused"
