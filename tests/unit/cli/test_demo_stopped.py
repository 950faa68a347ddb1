"""`slate demo` leaves nothing running, also where somebody ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

PROGRAM = """
import signal, sys
from cli import demo
signal.signal(signal.SIGTERM, demo._leave)
demo._ended_with_all_of_its_own([sys.executable, "-c", *sys.argv[1:]])
"""
# As `dvc repro` does: a child that runs a stage, and tells that it is there.
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]])
"""
STAGE = """
import os, sys, time
open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
time.sleep(600)
"""


def test_what_the_build_started_ends_when_the_demo_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "stage"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, PARENT, str(told), STAGE]) as demo:
        while not (told.is_file() and told.read_text().endswith("\n")):
            assert demo.poll() is None
        stage = psutil.Process(int(told.read_text()))
        demo.send_signal(signal.SIGTERM)
        assert demo.wait() == 128 + signal.SIGTERM
        psutil.wait_procs([stage], timeout=30)
        assert not stage.is_running()
