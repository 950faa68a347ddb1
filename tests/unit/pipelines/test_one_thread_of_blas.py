"""A stage adds up in one order, however many cores there are."""

from __future__ import annotations

import subprocess
import sys


def test_a_stage_computes_with_one_thread_of_blas() -> None:
    """That of numpy and scipy: FAISS brings one of its own, and is never let near it."""
    program = (
        "import pipelines.ranking, threadpoolctl\n"
        "pools = [pool for pool in threadpoolctl.threadpool_info() if 'scipy_openblas' in pool['filepath']]\n"
        "print(len(pools) > 0, {pool['num_threads'] for pool in pools})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True {1}\n"
