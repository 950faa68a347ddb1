"""Every benchmark, one after the other."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "noop",
    "ingest",
    "validate",
    "simulate",
    "features",
    "publish",
    "online_read",
    "ranking",
    "rerank",
    "index",
    "rollback",
    "gates",
    "canary",
    "skew",
    "reasons",
    "replay",
    "deep",
    "metrics",
    "coldstart",
    "batch",
    "serving",
)


def main() -> None:
    """Run them; stops at the first that fails."""
    for name in NAMES:
        print(f"\n== {name}")
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)


if __name__ == "__main__":
    main()
