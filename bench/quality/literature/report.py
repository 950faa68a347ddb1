"""A published protocol on a local folder: a table of our systems, seeds averaged, and the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.quality.literature.protocols import NO_REQUEST_PATH, PROTOCOLS, Figures
from bench.quality.literature.reading import read_literature
from bench.quality.literature.tuning import settings_of_all, tuned_figures
from bench.quality.workspace import CHECKOUT
from bench.report import print_figures, print_table
from contracts.counted import counted
from contracts.settings.settings import load_settings


def measure_literature(folder: Path, n_seeds: int, *, is_tuned: bool = False) -> None:
    """Measure what the folder holds by the protocol of its form, and print it; raises SourceError.

    is_tuned: instead of the parameters as they are, each generator with its values of the grid, chosen before what is
    reported is asked (`tuning`); and, where there is a request path, that with all of them.
    """
    if is_tuned:
        _measure_tuned(folder, n_seeds)
        return
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


def _measure_tuned(folder: Path, n_seeds: int) -> None:
    task, settings = read_literature(folder), load_settings(CHECKOUT / "params.yaml")
    every = tuned_figures(task, settings, settings.seed)
    tuned = every.tuned
    metrics = list(next(iter(tuned.values())).figures)
    rows = [
        [name, *(f"{one.figures[metric]:.4f}" for metric in metrics), f"{one.validation[metrics[1]]:.4f}", one.tried]
        for name, one in sorted(tuned.items(), key=lambda named: -named[1].figures[metrics[1]])
    ]
    print_table(["system", *metrics, f"{metrics[1]} where chosen", "values tried"], rows)
    for name, one in tuned.items():
        print(f"{name}: {json.dumps(one.values)}, {len(one.not_tried)} of {one.tried + len(one.not_tried)} not tried")
    for name, reasons in every.not_measured.items():
        print(f"NOT MEASURED: {name}, {counted(len(reasons), 'value')} not tried. {' '.join(dict.fromkeys(reasons))}")
    told = {name: asdict(one) for name, one in tuned.items()}
    path, left_out = None, NO_REQUEST_PATH.get(type(task))
    if left_out is None:
        seeds = [settings.seed + step for step in range(n_seeds)]
        all_tuned = settings_of_all(settings, tuned)
        path = mean_over_seeds([PROTOCOLS[type(task)](task, all_tuned, seed) for seed in seeds])
        slates = ", ".join(f"{metric} {value:.4f}" for metric, value in path["the slates"].items())
        print(f"the slates, with all of these generators: {slates} (seeds {', '.join(map(str, seeds))})")
    figures = {
        "form": type(task).__name__,
        "tuned": told,
        "not_measured": every.not_measured,
        "request_path": path or left_out,
    }
    print_figures("quality-literature-tuned", figures, data=folder.resolve().name, seed=settings.seed)


def mean_over_seeds(runs: Sequence[Figures]) -> Figures:
    """By system and metric; the seeds share their systems."""
    return {
        system: {metric: sum(run[system][metric] for run in runs) / len(runs) for metric in metrics}
        for system, metrics in runs[0].items()
    }
