"""Are our metrics those of others? Holds them against ranx on random slates.

    python -m bench.metrics

ranx (Bassani, ECIR 2022) is installed into an environment of its own, `build/bench-peers/ranx`. Slates of random items,
of which some are relevant, are judged by both, one value for each slate. MAP is compared where no more items are
relevant than a slate has places: past that ranx divides by all of them, and ours by the places.

Prints the largest difference of each metric; where one is above 1e-12, it says so and exits with 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.quality.peer_environments import python_of
from bench.report import print_figures, print_table
from recommender.judging.hits import Hits, average_precision, hit_rate, ndcg, recall, reciprocal_rank
from recommender.ragged import RaggedItems

ENVIRONMENT: Final = Path("build/bench-peers/ranx")
RANX: Final = ("ranx==0.3.21", "numpy<2.4")
SEED: Final = 7
N_SLATES, N_ITEMS, LENGTH = 3000, 60, 20
CUTOFFS: Final = (5, 10, 20)
MOST: Final = 1e-12
OURS: Final = {"ndcg": ndcg, "recall": recall, "hit_rate": hit_rate, "mrr": reciprocal_rank, "map": average_precision}
IN_RANX: Final = """
import json, sys
import numpy as np
from ranx import Qrels, Run, evaluate
asked = json.load(open(sys.argv[1]))
relevant = Qrels({q: {item: 1 for item in items} for q, items in asked["relevant"].items()})
slates = Run({q: {item: 1000 - place for place, item in enumerate(items)} for q, items in asked["slates"].items()})
names = [f"{metric}@{k}" for metric in asked["metrics"] for k in asked["cutoffs"]]
found = evaluate(relevant, slates, names, return_mean=False, make_comparable=True)
order = list(relevant.keys())
json.dump({"order": order, **{name: np.asarray(found[name]).tolist() for name in names}}, open(sys.argv[2], "w"))
"""


def main() -> None:
    """Judge random slates twice, and print how far apart the two are."""
    rng = np.random.default_rng(SEED)
    slates = [rng.choice(N_ITEMS, LENGTH, replace=False).astype(np.int32) for _ in range(N_SLATES)]
    relevant = [rng.choice(N_ITEMS, rng.integers(1, 31), replace=False).astype(np.int32) for _ in range(N_SLATES)]
    hits, theirs = Hits.of(RaggedItems.of(slates), RaggedItems.of(relevant)), _by_ranx(slates, relevant)
    rows, largest = [], 0.0
    for name, metric in OURS.items():
        for k in CUTOFFS:
            compared = hits.n_relevant <= k if name == "map" else np.ones(N_SLATES, bool)
            apart = float(np.abs(metric(hits, k) - theirs[f"{name}@{k}"])[compared].max())
            rows.append((f"{name}@{k}", int(compared.sum()), f"{metric(hits, k)[compared].mean():.4f}", f"{apart:.1e}"))
            largest = max(largest, apart)
    print_table(("metric", "slates", "mean", "largest difference"), rows)
    print_figures("metrics", {"largest_difference": largest, "slates": N_SLATES}, data="random slates", seed=SEED)
    if largest > MOST:
        sys.exit(f"Ours and those of ranx are {largest:.1e} apart; {MOST:.0e} is the most that rounding explains.")


def _by_ranx(
    slates: Sequence[npt.NDArray[np.int32]], relevant: Sequence[npt.NDArray[np.int32]]
) -> Mapping[str, npt.NDArray[np.float64]]:
    """By `metric@k`, (n_slates,) in the order of the slates."""
    asked: dict[str, Any] = {
        "slates": {f"q{at}": [f"i{item}" for item in slate.tolist()] for at, slate in enumerate(slates)},
        "relevant": {f"q{at}": [f"i{item}" for item in items.tolist()] for at, items in enumerate(relevant)},
        "metrics": list(OURS),
        "cutoffs": CUTOFFS,
    }
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.json", Path(folder) / "told.json"
        question.write_text(json.dumps(asked))
        python = python_of(ENVIRONMENT, RANX)
        subprocess.run([str(python), "-c", IN_RANX, str(question), str(answer)], check=True)
        told = json.loads(answer.read_text())
    places = np.argsort([int(name[1:]) for name in told.pop("order")])
    return {name: np.array(values)[places] for name, values in told.items()}


if __name__ == "__main__":
    main()
