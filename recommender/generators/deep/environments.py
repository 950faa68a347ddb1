"""Environments of guests: Python packages that ours does without, made once beside ours.

    python -m recommender.generators.deep.environments torch    (make deep)
    python -m recommender.generators.deep.environments tfrs     (make tfrs)

They lie within our own environment, so that every worktree that runs with it finds them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.errors import EngineMissing, WorkspaceError
from contracts.fingerprint import fingerprint_file

REQUIREMENTS: Final = Path(__file__).with_name("requirements")
FOLDER: Final = Path(sys.prefix) / "guests"
STAMP: Final = "requirements.fingerprint"  # written last: of the file that was installed
TOLD: Final = 3  # lines of pip's, at most


@dataclass(frozen=True)
class GuestEnvironment:
    """One of them. name: of its file of requirements; command: what makes it; variables: what its programs run with."""

    name: str
    command: str
    folder: Path = FOLDER
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def requirements(self) -> Path:
        """Every package that is installed, with its version."""
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def is_made(self) -> bool:
        """Whether what the requirements name now is installed."""
        stamp = self.folder / self.name / STAMP
        return stamp.is_file() and stamp.read_text(encoding="ascii") == fingerprint_file(self.requirements)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / self.name / "bin" / "python"

    @property
    def state(self) -> str:
        """What is found of it, after `which`."""
        if self.is_made:
            return "is made"
        return "is of other versions" if (self.folder / self.name / STAMP).is_file() else "is not there"

    def check_made(self, wanted_by: str) -> None:
        """Raise EngineMissing unless it is made; wanted_by: the parameter that asks for it."""
        if self.is_made:
            return
        raise EngineMissing(
            f"{wanted_by} is trained in the environment `{self.name}`, which {self.state}: {self.folder / self.name}.",
            f"Type `{self.command}`, and the same command again; or do without: null for {wanted_by} in params.yaml, "
            "and no `--set` of it.",
        )

    def make(self) -> None:
        """Make it, where it is not made; raises WorkspaceError with pip's own words."""
        if self.is_made:
            return
        home = self.folder / self.name
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        # Each package by its version, and no others: what they ask of each other was looked at when the list was made.
        _run([str(self.python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(self.requirements)])
        (home / STAMP).write_text(fingerprint_file(self.requirements), encoding="ascii")


TORCH: Final = GuestEnvironment("torch", "make deep")
TFRS: Final = GuestEnvironment(
    "tfrs",
    "make tfrs",
    variables={
        "TF_USE_LEGACY_KERAS": "1",  # TensorFlow Recommenders is written for Keras 2
        "TF_ENABLE_ONEDNN_OPTS": "0",  # its sums hang on the processor
        "TF_CPP_MIN_LOG_LEVEL": "2",  # errors and no more: what else it says is about the machine
    },
)
ENVIRONMENTS: Final = {one.name: one for one in (TORCH, TFRS)}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if re.match(r"(ERROR|error|\w*Error): ?", line)] or lines
        raise WorkspaceError(
            f"`{' '.join(command[1:4])} ...` ended with {done.returncode}: {' / '.join(errors[-TOLD:])}",
            "It needs the package index: check the network, and run the same command again.",
        )


if __name__ == "__main__":
    try:
        ENVIRONMENTS[sys.argv[1]].make()
    except WorkspaceError as error:
        sys.exit(str(error))
