"""How numpy and SciPy add does not hang on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.arithmetic import CPU, settle_arithmetic

SETTLED = ("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_WAIT_POLICY")
WITH_AVX2 = "processor\t: 0\nflags\t\t: fpu sse4_2 fma avx avx2 avx512f\nbugs\t\t: none\n"
WITHOUT = "processor\t: 0\nflags\t\t: fpu sse4_2 avx\nbugs\t\t: avx2 fma\n"


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name not in SETTLED})


def said(tmp_path: Path, cpu: str) -> list[str | None]:
    (tmp_path / "cpuinfo").write_text(cpu)
    settle_arithmetic(tmp_path / "cpuinfo")
    return [os.environ.get(name) for name in SETTLED[:2]]


def test_it_is_one_thread_with_the_kernels_that_most_processors_have(tmp_path: Path) -> None:
    assert said(tmp_path, WITH_AVX2) == ["1", "Haswell"]


@pytest.mark.parametrize("cpu", [WITHOUT, "Processor : ARMv8\n", ""])
def test_a_processor_that_cannot_is_not_asked_to(tmp_path: Path, cpu: str) -> None:
    assert said(tmp_path, cpu) == ["1", None]


def test_a_system_that_does_not_tell_keeps_its_own_kernels(tmp_path: Path) -> None:
    settle_arithmetic(tmp_path / "nowhere")
    assert "OPENBLAS_CORETYPE" not in os.environ


def test_threads_that_wait_sleep(tmp_path: Path) -> None:
    settle_arithmetic(tmp_path / "nowhere")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_environment_says_stays(tmp_path: Path) -> None:
    os.environ.update(OPENBLAS_NUM_THREADS="4", OPENBLAS_CORETYPE="Zen", OMP_WAIT_POLICY="ACTIVE")
    assert said(tmp_path, WITH_AVX2) == ["4", "Zen"]
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.skipif("avx2" not in CPU.read_text() if CPU.exists() else True, reason="the processor has no AVX2")
def test_a_stage_and_a_command_compute_with_it() -> None:
    """In numpy's OpenBLAS and SciPy's: FAISS brings one of its own, and is never let near it."""
    program = (
        "import {}, numpy, scipy.linalg, threadpoolctl\n"
        "pools = [pool for pool in threadpoolctl.threadpool_info() if 'scipy_openblas' in pool['filepath']]\n"
        "print(len(pools) > 0, {{(pool['num_threads'], pool['architecture']) for pool in pools}})"
    )
    for module in ("pipelines", "cli.main"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(module)], capture_output=True, text=True, check=True, env=os.environ
        )
        assert done.stdout == "True {(1, 'Haswell')}\n", module
