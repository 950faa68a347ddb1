"""Hostile bytes in every kind of file of a bundle: whoever loads it gets our error, or a release; nothing crashes.

    python -m tests.fuzz [--seconds 60] [--seed 0] [--keep FOLDER]

Each batch runs in a process of its own with a limit on memory and time, so that a crash, a hang or a greedy allocation
is seen as such. Every case changes one file of a small bundle (exact index or HNSW), once with the fingerprints left as
they are, which must be noticed before the file is parsed, and once with all of them forged. What goes wrong is kept
with its bytes under --keep, and the seed that brings it back is printed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, SlateworkError
from contracts.ids import UserId
from contracts.settings.settings import load_settings
from contracts.slates import RecommendRequest
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer
from release.bundle.bundle import load_bundle, load_measured
from release.bundle.open_bundle import OpenBundle
from release.evaluation.summary import Bootstrap
from release.gates.quality_gates import QualityGates
from release.golden.golden_queries import check_golden
from tests.forged_bundles import forge, with_hnsw
from tests.hostile_bytes import hostile

GOLDEN_BUNDLES = Path(__file__).resolve().parent / "golden"
CASES_PER_BATCH = 100
BATCH_LIMIT_S = 600
ADDRESS_SPACE = 6 << 30
GREEDY_MIB = 1024  # a small bundle loads in a few hundred; more is an allocation that the bytes talked somebody into


def main() -> None:
    """Run batches until the time is over; exits 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "slatework-fuzz")
    parser.add_argument("--batch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.batch:
        _run_batch(arguments.batch, arguments.seed)
        return
    outcomes, failures, seed = Counter[str](), 0, arguments.seed
    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as scratch:
            problem = _watch_batch(Path(scratch), seed, outcomes)
            if problem:
                failures += 1
                kept = arguments.keep / f"seed-{seed}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(Path(scratch) / "case", kept)
                sys.stdout.write(f"seed {seed}: {problem}\n  kept in {kept}\n")
        seed += 1
    n_cases = sum(outcomes.values())
    figures = {"cases": n_cases, **dict(sorted(outcomes.items())), "failures": failures, "seeds": seed - arguments.seed}
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(1 if failures else 0)


def _watch_batch(scratch: Path, seed: int, outcomes: Counter[str]) -> str:
    """What went wrong in a batch, in a sentence; empty where nothing did."""
    command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--batch", str(scratch)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BATCH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"hung for more than {BATCH_LIMIT_S} s"
    with suppress(FileNotFoundError):
        outcomes.update((scratch / "outcomes").read_text().split())
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    return done.stderr[-3000:] if done.returncode else ""


def _run_batch(scratch: Path, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    rng = np.random.default_rng(seed)
    base = Path(shutil.copytree(max(GOLDEN_BUNDLES.glob("bundle_v*")), scratch / "base"))
    if rng.random() < 0.5:
        with_hnsw(base)
    forge(base)
    _use(base)
    usual_mib = _peak_mib()
    names = _names(base)
    for _ in range(CASES_PER_BATCH):
        shutil.rmtree(scratch / "case", ignore_errors=True)
        case = Path(shutil.copytree(base, scratch / "case"))
        name = names[int(rng.integers(len(names)))]
        content = hostile((case / name).read_bytes(), rng, name)
        if content == (base / name).read_bytes():
            continue
        (case / name).write_bytes(content)
        outcome = _attempt(case, name)
        with (scratch / "outcomes").open("a") as said:
            said.write(f"{outcome}\n")
        if _peak_mib() > usual_mib + GREEDY_MIB:
            raise MemoryError(f"{name} made the process take {_peak_mib()} MiB, {usual_mib} MiB before")


def _names(bundle: Path) -> list[str]:
    """Every kind of file, the ones that foreign code parses more often."""
    files = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    parsed = [name for name in files if name.endswith((".faiss", "model.txt", "queries.json", "schema.json"))]
    return files + 4 * parsed


def _attempt(case: Path, name: str) -> str:
    """Load with the fingerprints left, and forged; anything but our error or a release comes out as it is."""
    if name != "manifest.json":
        try:
            load_bundle(case)
        except ArtefactError as error:
            if not str(error).startswith(f"{case / name}: manifest.json of"):
                raise AssertionError(f"{name} was parsed before its bytes were compared") from error
        else:
            raise AssertionError(f"{name} was changed, and nobody noticed")
    if name.endswith(".parquet"):
        return "left"  # a forged one can make polars abort: see "Hostile bytes" in docs/formats/bundle.md
    try:
        forge(case)
    except ArtefactError:
        return "refused"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # too broken to be forged: it is loaded with what fingerprints it has
    try:
        _use(case)
    except ArtefactError:
        return "refused"
    return "loaded"


def _use(bundle: Path) -> None:
    """Everything that parses a file of a bundle."""
    release = load_bundle(bundle)
    values = FeatureValues.load(bundle / "values")
    QualityGates(load_settings().promotion, Bootstrap(100, seed=0)).evaluate(OpenBundle(bundle), champion=None)
    load_measured(bundle)
    reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
    user_id = UserId(values.users["user_id"][0]) if values.users.height else None
    with suppress(SlateworkError):
        answer(release, reader, FixedClock(release.as_of), RecommendRequest("fuzz", user_id=user_id))
    check_golden(release)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
