"""What the forward passes of deep generators cost a request, by the length of the history; search comes on top.

    python -m bench.deep

The weights are drawn: what they are changes nothing. It needs no torch.
"""

from __future__ import annotations

from contracts.arithmetic import settle_arithmetic

settle_arithmetic()  # as the server does, before numpy is imported

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from bench.report import print_figures, print_table  # noqa: E402
from bench.yardstick import yardstick_ms  # noqa: E402
from recommender.generators.deep.sequence import SHAPES, SequenceEncoder, length_of  # noqa: E402
from recommender.generators.deep.two_tower import PersonTower  # noqa: E402

SEED = 7
ROUNDS = 500
DIM, N_BLOCKS, WIDTH = 32, 2, 64
LENGTHS = (5, 25, 100)
N_ITEMS = 10_000


def main() -> None:
    rng = np.random.default_rng(SEED)
    figures = {"sequence": _of_sequence(rng), "two_tower": _of_two_tower(rng)}
    rows = [[name, n, f"{ms:.3f}"] for name, by_length in figures.items() for n, ms in by_length.items()]
    print_table(["generator", "items of the history", "ms at the median"], rows)
    print_figures("deep", {"forward_ms": figures, "yardstick_ms": yardstick_ms()}, data="drawn weights", seed=SEED)


def _of_sequence(rng: np.random.Generator) -> dict[str, float]:
    numbers = {"dim": DIM, "blocks": N_BLOCKS, "length": max(LENGTHS)}
    shapes = {name: tuple(length_of(part, numbers) for part in shape) for name, shape in SHAPES.items()}
    encoder = SequenceEncoder({name: _drawn(rng, *shape) for name, shape in shapes.items()}, n_heads=1)
    vectors = _drawn(rng, N_ITEMS, DIM)
    return {str(n): _median_ms(lambda items: encoder.last_state(vectors[items]), _history(rng, n)) for n in LENGTHS}


def _of_two_tower(rng: np.random.Generator) -> dict[str, float]:
    tower = PersonTower(
        _drawn(rng, N_ITEMS, DIM + WIDTH), _drawn(rng, WIDTH), _drawn(rng, WIDTH, DIM), _drawn(rng, DIM),
        length=max(LENGTHS), step_weight=0.95,
    )  # fmt: skip
    return {str(n): _median_ms(tower.vector_of, _history(rng, n)) for n in LENGTHS}


def _drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(scale=0.1, size=shape).astype(np.float32)


def _history(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.choice(N_ITEMS, n, replace=False).astype(np.int32)


def _median_ms(vector_of: Callable[[np.ndarray], np.ndarray], items: np.ndarray) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        vector_of(items)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000


if __name__ == "__main__":
    main()
