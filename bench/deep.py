"""What the forward pass of `candidates.sequence` costs a request, by the length of the history; search comes on top.

    python -m bench.deep

The weights are drawn: what they are changes nothing. It needs no torch.
"""

from __future__ import annotations

from contracts.arithmetic import settle_arithmetic

settle_arithmetic()  # as the server does, before numpy is imported

import time  # noqa: E402

import numpy as np  # noqa: E402

from bench.report import print_figures, print_table  # noqa: E402
from bench.yardstick import yardstick_ms  # noqa: E402
from recommender.generators.deep.sequence import SHAPES, SequenceEncoder, length_of  # noqa: E402

SEED = 7
ROUNDS = 500
DIM, N_BLOCKS, LONGEST = 32, 2, 100


def main() -> None:
    rng = np.random.default_rng(SEED)
    numbers = {"dim": DIM, "blocks": N_BLOCKS, "length": LONGEST}
    shapes = {name: tuple(length_of(part, numbers) for part in shape) for name, shape in SHAPES.items()}
    weights = {name: rng.normal(scale=0.1, size=shape).astype(np.float32) for name, shape in shapes.items()}
    encoder = SequenceEncoder(weights, n_heads=1)
    figures = {str(n): _median_ms(encoder, rng.normal(size=(n, DIM)).astype(np.float32)) for n in (5, 25, LONGEST)}
    print_table(["items of the history", "ms at the median"], [[n, f"{ms:.2f}"] for n, ms in figures.items()])
    print_figures("deep", {"forward_ms": figures, "yardstick_ms": yardstick_ms()}, data="drawn weights", seed=SEED)


def _median_ms(encoder: SequenceEncoder, items: np.ndarray) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        encoder.last_state(items)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000


if __name__ == "__main__":
    main()
