"""An environment for each group of peers, made once with pip and kept; what cannot be installed is told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

INSTALLED: Final = "installed.txt"  # written last: what was asked for, and then every package with its version


class NotInstalled(Exception):
    """Why an environment could not be made."""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(telling_words(done.stderr or done.stdout) or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def telling_words(printed: str) -> str:
    """The lines that name an error; where none does, the last ones. pip ends with what says nothing."""
    lines = [line.strip(" |\u2502") for line in printed.splitlines() if line.strip() and not line.startswith("WARNING")]
    named = [line for line in lines if re.match(r"(\w*Error|ERROR|error): ", line)]
    return " / ".join((named or lines)[-3:])


def python_of(folder: Path, requirements: Sequence[str], run: Callable[[list[str]], str] = _run) -> Path:
    """The Python that has these packages, made in `folder` where it is not there; raises NotInstalled.

    No requirements: the Python that runs this. run: runs a command, and returns what it printed.
    """
    if not requirements:
        return Path(sys.executable)
    python, asked = folder / "bin" / "python", "\n".join(requirements) + "\n"
    if _is_made(folder, asked):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(folder)])
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    versions = run([str(python), "-m", "pip", "freeze"])
    (folder / INSTALLED).write_text(f"{asked}\n{versions}")
    return python


def _is_made(folder: Path, asked: str) -> bool:
    installed = folder / INSTALLED
    return installed.is_file() and installed.read_text().startswith(asked + "\n")
