"""Our slates, our generators alone and the peers on the same people of the same windows, seeds averaged."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from bench.quality.ours import read_measured
from bench.quality.peer_environments import NotInstalled, python_of
from bench.quality.peer_registry import Peer
from bench.quality.peer_runs import Exam, PeerFailed, Tuned, tune
from bench.quality.peers.exchange import COSTS
from bench.quality.workspace import Workspace
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.rolling.judgement import AS_THEY_ARE
from recommender.split import TimeSplit
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES


@dataclass
class Measured:
    """What was measured so far.

    rows: window, seed, system, user_id and the metrics; covered, costs: a row for each fit; tuned: by peer and window;
    missing: by peer, why it was not measured.
    """

    rows: list[pl.DataFrame] = field(default_factory=list)
    covered: list[Mapping[str, Any]] = field(default_factory=list)
    costs: list[Mapping[str, Any]] = field(default_factory=list)
    tuned: dict[str, dict[int, Tuned]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def per_person(self) -> pl.DataFrame:
        """The mean over the seeds, in the form that `pipelines.rolling.judgement.Comparer` reads."""
        every = pl.concat(self.rows, how="diagonal")
        metrics = [name for name in every.columns if "_at_" in name]
        means = every.group_by("window", "system", "user_id", maintain_order=True).agg(pl.col(metrics).mean())
        return means.with_columns(variant=pl.lit(AS_THEY_ARE), group=pl.lit(WARM))

    def coverage(self, system: str, k: int) -> float:
        """The mean over windows and seeds of the share of the catalogue that is shown to anybody."""
        mine = [row[f"coverage_at_{k}"] for row in self.covered if row["system"] == system]
        return float(sum(mine) / len(mine))

    def cost(self, system: str) -> dict[str, float]:
        """Of one fit: the mean of its seconds, and the most memory."""
        costs = pl.DataFrame([row for row in self.costs if row["system"] == system])
        seconds = costs.select(pl.col("^.*_s$").mean()).row(0, named=True)
        return {**seconds, "peak_mib": float(costs["peak_mib"].max())}

    def note(
        self, window: int, seed: int, system: str, per_person: pl.DataFrame, coverage: Mapping[str, float]
    ) -> None:
        """Take in one fit of one system."""
        self.rows.append(per_person.with_columns(window=pl.lit(window), seed=pl.lit(seed), system=pl.lit(system)))
        self.covered.append({"system": system, **coverage})


def measure(
    workspace: Workspace, windows: Mapping[int, TimeSplit], seeds: Sequence[int], peers: Sequence[Peer], cache: Path
) -> Measured:
    """Everything on every window. cache: where environments are kept; what is exchanged lies in the workspace."""
    measured, settings, tables = Measured(), workspace.settings, workspace.tables()
    for number in windows:
        _tell(f"window {number}: our chain, {len(seeds)} seeds")
        _measure_ours(measured, workspace, number, seeds)
    for peer in peers:
        try:
            _tell(f"{peer.name}: its environment")
            python = python_of(cache / peer.environment, peer.requirements)
            measured_peer = Measured()
            for number, split in windows.items():
                folder = workspace.folder / "peers" / peer.name / str(number)
                _measure_peer(measured_peer, _Run(peer, python, folder), settings, tables, (number, split), seeds)
        except NotInstalled as error:
            measured.missing[peer.name] = f"not installed: {error}"
        except PeerFailed as error:
            measured.missing[peer.name] = f"failed: {error}"
        else:
            _join(measured, measured_peer)
        if peer.name in measured.missing:
            _tell(f"{peer.name} NOT MEASURED: {measured.missing[peer.name]}")
    return measured


def _measure_ours(measured: Measured, workspace: Workspace, number: int, seeds: Sequence[int]) -> None:
    folder = workspace.folder / "ours" / str(number)
    folder.mkdir(parents=True)
    workspace.run("bench.quality.ours", str(folder), "--window", str(number), "--seeds", *map(str, seeds))
    costs = json.loads((folder / COSTS).read_text())
    for seed, cost in zip(seeds, costs, strict=True):
        per_person, coverage = read_measured(folder, seed)
        for row in coverage.iter_rows(named=True):
            system = row["system"]
            measured.note(number, seed, system, per_person.filter(pl.col("system") == system), row)
        measured.costs.append({"system": SLATES, **cost})


@dataclass(frozen=True)
class _Run:
    peer: Peer
    python: Path
    folder: Path


def _measure_peer(
    measured: Measured,
    run: _Run,
    settings: Settings,
    tables: CanonicalTables,
    window: tuple[int, TimeSplit],
    seeds: Sequence[int],
) -> None:
    number, split = window
    peer, python, folder = run.peer, run.python, run.folder
    _tell(f"window {number}: {peer.name}, {len(peer.grid)} sets of parameters")
    tuned = tune(peer, python, settings, tables, split, folder)
    measured.tuned.setdefault(peer.name, {})[number] = tuned
    exam = Exam.of(settings, tables, split)
    used = seeds if peer.is_random else seeds[:1]
    answers = exam.ask(peer, python, [(tuned.parameters, seed) for seed in used], folder / "measured")
    for seed, answer in zip(used, answers, strict=True):
        measured.note(number, seed, peer.name, answer.per_person, answer.coverage)
        measured.costs.append({"system": peer.name, **answer.cost})


def _join(measured: Measured, of_peer: Measured) -> None:
    """A peer counts with all its windows, or not at all."""
    measured.rows += of_peer.rows
    measured.covered += of_peer.covered
    measured.costs += of_peer.costs
    measured.tuned |= of_peer.tuned


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
