"""One arithmetic on every machine, and threads that wait asleep: settled before numpy and LightGBM are loaded."""

from __future__ import annotations

import os
from pathlib import Path

CPU = Path("/proc/cpuinfo")


def settle_arithmetic(cpu: Path = CPU) -> None:
    """Have numpy and SciPy add in the same order on every machine; what the environment says already stays.

    To be called before numpy is imported: OpenBLAS reads its environment then. It cuts a sum by its number of threads,
    and adds with other instructions on another processor: with AVX-512 it rounds otherwise than with AVX2, and a model
    trained on the one is not the model trained on the other. So it uses one thread, and where the processor has AVX2
    the kernels for that ("Haswell" in its own words), also where there is more. On other processors those would end
    the process; there OpenBLAS goes by what it finds, and models differ in rounding.

    Threads of OpenMP that wait for one another sleep, which changes no sum. They would else look again and again for a
    while: with other work on the cores, the thread that they wait for is then kept from running.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if {"avx2", "fma"} <= _instruction_sets(cpu):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


def _instruction_sets(cpu: Path) -> set[str]:
    """What Linux says that the first processor can do; empty on other systems."""
    try:
        with cpu.open(encoding="utf-8") as lines:
            return next((set(line.split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()
