"""What goes into a peer's process and comes out of it: plain Parquet files, and what it cost.

    FOLDER/train.parquet      user_id, item_id, event_ts (epoch seconds), value: what may be learnt from, oldest first
    FOLDER/questions.parquet  user_id: who is asked about; all of them have events in train
    FOLDER/fits.json          k, and `fits`: parameters and seed of each; they share the process, one after the other
    FOLDER/lists-N.parquet    user_id, item_id, position from 1: the answer of fit N, without items seen in train
    FOLDER/costs.json         of each fit: fit_s and predict_s on the clock, the same of the processor, peak_mib so far

It needs NumPy, SciPy and PyArrow alone: it runs in the environments of all peers.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

TRAIN, QUESTIONS, FITS, COSTS = "train.parquet", "questions.parquet", "fits.json", "costs.json"


@dataclass(frozen=True)
class Train:
    """What may be learnt from.

    user_ids, item_ids: sorted. users, items: (n_events,) places in them, oldest event first; event_ts, values: aligned.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    users: np.ndarray
    items: np.ndarray
    event_ts: np.ndarray
    values: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Train:
        table = pq.read_table(path)
        user_ids, users = np.unique(np.array(table["user_id"].to_pylist(), dtype=str), return_inverse=True)
        item_ids, items = np.unique(np.array(table["item_id"].to_pylist(), dtype=str), return_inverse=True)
        event_ts, values = (table[name].to_numpy() for name in ("event_ts", "value"))
        return cls(user_ids, item_ids, users, items, event_ts, values)

    def touched(self) -> csr_matrix:
        """(n_users, n_items) 1 where a person touched an item."""
        ones = np.ones(len(self.users), np.float32)
        matrix = csr_matrix((ones, (self.users, self.items)), shape=(len(self.user_ids), len(self.item_ids)))
        matrix.data[:] = 1  # what was touched twice was added up
        return matrix

    def users_of(self, user_ids: Sequence[str]) -> np.ndarray:
        """(n,) the places of these people, all of whom are known."""
        return np.searchsorted(self.user_ids, np.array(user_ids, dtype=str))


Recommend = Callable[[Sequence[str], int], list[list[str]]]  # people and k -> of each, the best unseen items first
Fit = Callable[[Train, Mapping[str, Any], int], Recommend]  # parameters and a seed


def best_unseen(train: Train, score: Callable[[np.ndarray], np.ndarray], block: int = 1024) -> Recommend:
    """Recommends what `score` puts highest: (n,) users -> (n, n_items), higher is better."""
    touched = train.touched()

    def recommend(user_ids: Sequence[str], k: int) -> list[list[str]]:
        users, lists = train.users_of(user_ids), []
        for start in range(0, len(users), block):
            asked = users[start : start + block]
            scores = np.asarray(score(asked), np.float64)
            scores[touched[asked].nonzero()] = -np.inf
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            lists += [_known_names(train, items, own) for items, own in zip(best, scores, strict=True)]
        return lists

    return recommend


def _known_names(train: Train, items: np.ndarray, scores: np.ndarray) -> list[str]:
    return [str(name) for name in train.item_ids[items[np.isfinite(scores[items])]]]


def run_peer(fit: Fit) -> None:
    """Fit, recommend, and write the answers and what they cost, as the folder on the command line asks."""
    folder = Path(sys.argv[1])
    asked = json.loads((folder / FITS).read_text())
    train = Train.read(folder / TRAIN)
    user_ids = pq.read_table(folder / QUESTIONS)["user_id"].to_pylist()
    costs = []
    for number, one in enumerate(asked["fits"]):
        fitting = Stopwatch()
        recommend = fit(train, one["parameters"], one["seed"])
        spent = fitting.seconds("fit")
        predicting = Stopwatch()
        lists = recommend(user_ids, asked["k"])
        costs.append({**spent, **predicting.seconds("predict"), "peak_mib": peak_mib()})
        write_lists(user_ids, lists, lists_path(folder, number))
    (folder / COSTS).write_text(json.dumps(costs))


def lists_path(folder: Path, number: int) -> Path:
    """Where the answer of a fit lies."""
    return folder / f"lists-{number}.parquet"


class Stopwatch:
    """Seconds since it was made, on the clock and of this process on all cores."""

    def __init__(self) -> None:
        self._began, self._processor = time.perf_counter(), time.process_time()

    def seconds(self, what: str) -> dict[str, float]:
        spent = {f"{what}_s": time.perf_counter() - self._began}
        return {**spent, f"{what}_processor_s": time.process_time() - self._processor}


def write_lists(user_ids: Sequence[str], lists: Iterable[Sequence[str]], path: Path) -> None:
    """Write ranked lists, a row for each place."""
    rows = [
        (user_id, item_id, place)
        for user_id, own in zip(user_ids, lists, strict=True)
        for place, item_id in enumerate(own, start=1)
    ]
    users, items, places = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(users, pa.string()), pa.array(items, pa.string()), pa.array(places, pa.int64())]
    pq.write_table(pa.table(columns, names=["user_id", "item_id", "position"]), path)


def peak_mib() -> float:
    """The most memory that this process held so far.

    Of Linux's two figures, the one that is this program's own: the other may be that of whoever started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
