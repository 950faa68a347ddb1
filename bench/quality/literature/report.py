"""A published protocol on a local folder: a table of our systems, seeds averaged, and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.quality.literature.protocols import NO_REQUEST_PATH, PROTOCOLS, Figures
from bench.quality.literature.reading import read_literature
from bench.quality.workspace import CHECKOUT
from bench.report import print_figures, print_table
from contracts.settings.settings import load_settings


def measure_literature(folder: Path, n_seeds: int) -> None:
    """Measure what the folder holds by the protocol of its form, and print it; raises SourceError."""
    task, settings = read_literature(folder), load_settings(CHECKOUT / "params.yaml")
    protocol, form = PROTOCOLS[type(task)], type(task).__name__
    seeds = [settings.seed + step for step in range(n_seeds)]
    figures = mean_over_seeds([protocol(task, settings, seed) for seed in seeds])
    metrics = list(next(iter(figures.values())))
    best_first = sorted(figures, key=lambda name: -figures[name][metrics[0]])
    print_table(
        ["system", *metrics], [[name, *(f"{figures[name][one]:.4f}" for one in metrics)] for name in best_first]
    )
    left_out = NO_REQUEST_PATH.get(type(task))
    if left_out is not None:
        print(f"The request path is not asked: {left_out}.")
    told = {"form": form, "seeds": seeds, "systems": figures, "request_path": left_out or "asked"}
    print_figures("quality-literature", told, data=folder.resolve().name, seed=settings.seed)


def mean_over_seeds(runs: Sequence[Figures]) -> Figures:
    """By system and metric; the seeds share their systems."""
    return {
        system: {metric: sum(run[system][metric] for run in runs) / len(runs) for metric in metrics}
        for system, metrics in runs[0].items()
    }
