"""What does it cost to find that nothing changed? `dvc repro release` against a bare `dvc status`, taken in turns.

    python -m bench.noop [--rounds N]

Run it in a checkout where `dvc repro` has finished. Limit: 1.5 times `dvc status`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from tqdm import trange

from bench.report import print_figures, print_table

COMMANDS = {"dvc status": ["status", "-q"], "dvc repro release": ["repro", "-q", "release"]}


def main() -> None:
    """Take turns, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in trange(rounds, desc="rounds", disable=None):
        for name, arguments in COMMANDS.items():
            seconds[name].append(_seconds(arguments))
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    status, repro = medians.values()
    print_table(["command", "median s"], [(name, f"{median:.2f}") for name, median in medians.items()])
    figures = {
        "status_s": round(status, 3),
        "repro_s": round(repro, 3),
        "ratio": round(repro / status, 3),
        "limit": 1.5,
    }
    print_figures("noop", figures, data="the checkout's own")


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    # `dvc status -q` exits 1 when something changed, and publish always counts as changed.
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], check=False, capture_output=True, text=True)
    if arguments[0] == "repro" and done.returncode:
        sys.exit(f"`dvc repro` failed; run it by hand first.\n{done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
