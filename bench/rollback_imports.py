"""What does each piece that keeps slow imports out of a rollback save?

    python -m bench.rollback_imports [--rounds N]

Run it in a checkout where `dvc repro` has finished. Two releases take turns in a home and a Redis of its own, with a
journal of three years. Each variant puts one import back: redis-py in place of the bare socket, the check of all of
params.yaml, SQLAlchemy, or all three. Measured is the command from its start to the moved pointer, and its processor
time by then; MLflow is away. The variants run in turn. The answers are in docs/adr/0010-a-quick-rollback.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from bench.aged_journal import age, put_behind_checkpoint
from bench.report import print_figures, print_table
from bench.two_releases import Rig, running_rig
from bench.yardstick import yardstick_ms

JOURNAL_YEARS = 3
REDIS_PY = """
import feature_store.online.bare_client as bare_client
class Refused:
    def __init__(self, *_): raise OSError
bare_client.BareClient = Refused
"""
ALL_PARAMETERS = """
import contracts.settings.quick_params as quick_params, contracts.settings.settings as settings
quick_params.load_rollback_params = settings.load_settings
"""
SQLALCHEMY = "import sqlalchemy; sqlalchemy.create_engine('sqlite://').connect().close()\n"
VARIANTS = {
    "as it is": "",
    "all of params.yaml": ALL_PARAMETERS,
    "redis-py": REDIS_PY,
    "SQLAlchemy": SQLALCHEMY,
    "all three": ALL_PARAMETERS + REDIS_PY + SQLALCHEMY,
}
PROGRAM = """
import resource, sys
import release.promotion.rollback as rollback
roll_back = rollback.roll_back
def measured(*arguments, moved, **named):
    def say(done):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print("moved", used.ru_utime + used.ru_stime, flush=True)
        moved(done)
    return roll_back(*arguments, moved=say, **named)
rollback.roll_back = measured
sys.argv = ["slate", "rollback"]
from cli.main import main
main()
"""


def main() -> None:
    """Measure every variant in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    with running_rig(0, 1) as rig:
        age(rig.home, rig.settings.app, rig.older.release_id, JOURNAL_YEARS)
        rig.promote(rig.older)
        for _ in range(arguments.rounds):
            for name, before in VARIANTS.items():
                measured[name].append(_roll_back(rig, before))
    medians = {name: _medians(each) for name, each in measured.items()}
    print_table(["variant", "wall ms", "processor ms"], [[name, *map(str, each)] for name, each in medians.items()])
    figures = {"rounds": arguments.rounds, "median_ms": medians, "yardstick_ms": round(yardstick_ms(), 2)}
    print_figures("rollback_imports", figures, data="the release built here", seed=None)


def _roll_back(rig: Rig, before: str) -> tuple[float, float]:
    """Seconds from the start of the command to the moved pointer: on the clock, and of the processor."""
    rig.promote(rig.newer)
    put_behind_checkpoint(rig.home, rig.settings.app)
    wall = None
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", before + PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("moved "):
                wall = time.monotonic() - started
                processor = float(line.split()[1])
    if process.returncode or wall is None:
        sys.exit(f"`slate rollback` ended with {process.returncode} and did not say that the pointer had moved.")
    return wall, processor


def _medians(each: list[tuple[float, float]]) -> tuple[int, int]:
    wall, processor = (round(1000 * statistics.median(one)) for one in zip(*each, strict=True))
    return wall, processor


if __name__ == "__main__":
    main()
