"""The command `slate` inside this process: what a new Python would print, without the seconds of its start."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import cli.main


def slate_here(*arguments: str, folder: Path | None = None, **environment: str) -> CompletedProcess[str]:
    """Run `slate` with these arguments in a folder (or here), and give its exit status and what it printed."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["slate", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        if folder:
            patch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            cli.main.main()
    status = end.value.code
    assert status is None or isinstance(status, int)
    return CompletedProcess(["slate", *arguments], status or 0, out.getvalue(), err.getvalue())
