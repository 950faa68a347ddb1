"""Makes the environment in .venv from the hashed lock. Standard library only: it runs before anything is installed.

    python3 bootstrap.py            create or update .venv; nothing to do when it already matches the lock

Needs Python 3.11 with venv, and the package index the first time. Prints the download time apart from the rest.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent
VENV = TOP / ".venv"
LOCK = TOP / "requirements.lock"
BOOTSTRAP_LOCK = TOP / "requirements-bootstrap.lock"
COMPILED = (
    "recommender.candidates",
    "recommender.generators.best_of_heads",
    "recommender.generators.item_to_item",
    "recommender.generators.nearest_regression",
    "recommender.generators.pair_weights",
    "recommender.on_demand.content",
    "recommender.proposals",
    "recommender.ranking.contributions",
    "recommender.slates.greedy_choice",
    "recommender.slates.rules",
    "recommender.taste",
)
STAMP = VENV / "slatework-lock.sha256"
NEEDED = (3, 11)


def main() -> None:
    """Create or update the environment, and say what it took."""
    _check_python()
    wanted = hashlib.sha256(LOCK.read_bytes() + (TOP / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    started = time.monotonic()
    if STAMP.is_file():
        STAMP.unlink()  # until it is written again, what stands here may be half of two locks
    else:
        _make_venv()
    uv = VENV / "bin" / "uv"
    _run([VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", BOOTSTRAP_LOCK])
    downloading = _install(uv)
    # The folder on the path, not setuptools' finder of our packages: that one costs every start of Python 20 ms.
    here = ["--no-deps", "--no-build-isolation", "--offline", "--config-settings", "editable_mode=compat", "-e", TOP]
    _run([uv, "pip", "install", "--quiet", "--python", VENV, *here])
    # So that no first request, and no eight workers at once, wait for the compiler (see recommender/compiled.py).
    _run([VENV / "bin" / "python", "-c", f"import {', '.join(COMPILED)}"])
    STAMP.write_text(wanted)
    seconds = time.monotonic() - started
    print(f"environment ready in {seconds:.1f} s, of which {downloading:.1f} s were downloads")


def _check_python() -> None:
    if sys.version_info[:2] != NEEDED:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Slatework needs Python 3.11; {sys.executable} is {found}.\n"
            "  Install Python 3.11 and name it: `make demo PYTHON=python3.11`."
        )


def _make_venv() -> None:
    """Make .venv anew: one without the stamp was left by a run that was stopped, and any part of it may be missing."""
    command = [sys.executable, "-m", "venv", "--clear", VENV]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(
            f"`python -m venv` failed: {(made.stderr or made.stdout).strip()}\n"
            "  On Debian: `apt-get install python3-venv`, then run the same command again."
        )


def _install(uv: Path) -> float:
    """Bring .venv to the lock, and return the seconds that downloading took, as uv reports them."""
    print("installing what requirements.lock names (the first time: some 300 packages)", flush=True)
    command = [uv, "pip", "install", "--python", VENV, "--require-hashes", "--no-progress", "-r", LOCK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(_explain(done.stderr))
    prepared = re.search(r"Prepared \d+ packages? in (?:([\d.]+)m )?([\d.]+)(ms|s)", done.stderr)
    if not prepared:
        return 0.0
    minutes, amount, unit = prepared.groups()
    return float(minutes or 0) * 60 + float(amount) * (0.001 if unit == "ms" else 1)


def _explain(stderr: str) -> str:
    text = stderr.strip()[-1500:]
    if "hash mismatch" in text.lower():
        return f"A package is not the one the lock names:\n{text}\n  Do not go on; check the index you use."
    return (
        f"The packages could not be installed:\n{text}\n"
        "  The first run needs the package index: check the network, and run the same command again."
    )


def _run(command: list[object]) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(_explain(done.stderr or done.stdout))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command again to go on.")
