"""One peer on one window: tuned on the window before it, fitted on all that lies before it, and judged as we are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bench.quality.peer_registry import Peer
from bench.quality.peers.exchange import COSTS, FITS, QUESTIONS, TRAIN, lists_path
from bench.quality.windows import validation_of, warm_cases
from bench.quality.workspace import CHECKOUT
from contracts.positive_events import positive_events
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.rolling.window_fit import tables_until_end
from recommender.catalogue import Catalogue
from recommender.ragged import RaggedItems
from recommender.split import TimeSplit
from release.evaluation.cases import EvaluationCase, popularity_before
from release.evaluation.judge import Judge, category_vectors

PeerFit = tuple[Mapping[str, Any], int]  # parameters and a seed


class PeerFailed(Exception):
    """A peer's process ended badly, or answered what it must not."""


@dataclass(frozen=True)
class Answer:
    """What one fit of a peer is worth. per_person: user_id and the metrics; coverage, cost: by name."""

    per_person: pl.DataFrame
    coverage: Mapping[str, float]
    cost: Mapping[str, float]


@dataclass(frozen=True)
class Exam:
    """One window as peers get it: what may be learnt from, who is asked, and what they then wanted."""

    train: pl.DataFrame
    cases: Sequence[EvaluationCase]
    judge: Judge

    @classmethod
    def of(cls, settings: Settings, tables: CanonicalTables, split: TimeSplit) -> Exam:
        known = tables_until_end(tables, split)
        catalogue = Catalogue.from_items(known.items)
        events = positive_events(known.interactions).filter(pl.col("event_ts") < split.test_start)
        seconds = pl.col("event_ts").dt.epoch("s")
        train = events.select("user_id", "item_id", seconds, pl.col("value").fill_null(1.0))
        popularity = popularity_before(known, catalogue.ids, split.test_start)
        judge = Judge(tuple(settings.evaluate.cutoffs), catalogue.ids, popularity, category_vectors(catalogue))
        return cls(train, warm_cases(settings, known, catalogue.ids, split.test_start), judge)

    def ask(self, peer: Peer, python: Path, fits: Sequence[PeerFit], folder: Path) -> list[Answer]:
        """Fit the peer so often in a process of its own, and judge its lists; raises PeerFailed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.train.write_parquet(folder / TRAIN)
        pl.DataFrame({"user_id": [case.user_id for case in self.cases]}).write_parquet(folder / QUESTIONS)
        asked = [{"parameters": dict(parameters), "seed": seed} for parameters, seed in fits]
        (folder / FITS).write_text(json.dumps({"k": max(self.judge.cutoffs), "fits": asked}))
        _run_process(peer, python, folder)
        costs = json.loads((folder / COSTS).read_text())
        return [
            Answer(*self.judged(pl.read_parquet(lists_path(folder, number))), costs[number])
            for number in range(len(fits))
        ]

    def judged(self, lists: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, float]]:
        """The metrics of each person, and of all lists together; raises PeerFailed where a list breaks the rules."""
        check_lists(lists, self.train)
        of_person = {
            str(user_id): self.judge.item_ids.indices(own.sort("position")["item_id"])
            for (user_id,), own in lists.group_by("user_id")
        }
        nothing = self.judge.item_ids.indices([])
        shown = RaggedItems.of(of_person.get(case.user_id, nothing) for case in self.cases)
        relevant = RaggedItems.of(case.relevant for case in self.cases)
        values = self.judge.values(shown, relevant, RaggedItems.of(nothing for _ in self.cases))
        per_person = pl.DataFrame({"user_id": [case.user_id for case in self.cases], **values})
        return per_person, self.judge.of_all(shown)


def check_lists(lists: pl.DataFrame, train: pl.DataFrame) -> None:
    """Refuse lists that show what was seen, or an item twice; raises PeerFailed."""
    n_seen = lists.join(train, on=["user_id", "item_id"], how="semi").height
    n_repeated = lists.height - lists.unique(["user_id", "item_id"]).height
    if n_seen or n_repeated:
        raise PeerFailed(f"its lists show {n_seen} items that were seen before, and {n_repeated} a second time")


@dataclass(frozen=True)
class Tuned:
    """The best of a peer's grid on the window before; tried: NDCG of each of the grid, in its order."""

    parameters: Mapping[str, Any]
    tried: tuple[float, ...]


def tune(
    peer: Peer, python: Path, settings: Settings, tables: CanonicalTables, split: TimeSplit, folder: Path
) -> Tuned:
    """Choose a peer's parameters without looking at the window that will be measured; of equals the first."""
    exam, metric = Exam.of(settings, tables, validation_of(split)), f"ndcg_at_{settings.evaluate.cutoffs[0]}"
    answers = exam.ask(peer, python, [(parameters, settings.seed) for parameters in peer.grid], folder / "tuning")
    tried = [float(answer.per_person[metric].mean()) for answer in answers]
    return Tuned(peer.grid[tried.index(max(tried))], tuple(tried))


def _run_process(peer: Peer, python: Path, folder: Path) -> None:
    command = [str(python), "-m", f"bench.quality.peers.{peer.module}", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        raise PeerFailed(" / ".join(words[-3:]) or f"its process ended with {done.returncode}")
