"""What does diversity cost, by which method? The slates of a simulated application under every rule, window by window.

    python -m bench.diversity [--app articles] [--windows 1,2,3,4] [--people 250] [--loss 0.02,0.05]

The application's world is simulated and its models are fitted before each rolling window but the last, as `slate judge`
does; then people with a history are asked under each method of `request.diversity`, one budget after the other. Printed
are, at the first cutoff and over all windows, NDCG, what it gains over the ranker's own order with its paired 95%
interval over people, diversity (over categories), miscalibration, and how much of the catalogue is shown. Defaults of a
preset are chosen on it; the last window, which the stage `evaluate` reports, is not looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.quality.windows import every_window, warm_cases
from bench.report import print_figures, print_table
from contracts.settings.diversity import DiversitySettings
from contracts.settings.params_path import PARAMS
from contracts.settings.presets import load_preset
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from pipelines.rolling.window_fit import fit_release, window_data
from pipelines.runs.overrides import overridden_settings
from recommender.split import TimeSplit
from release.evaluation.cases import WARM, popularity_before
from release.evaluation.evaluation import SLATES, Evaluation, evaluate
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.summary import Bootstrap
from sources.simulator.world_spec import WorldSpec, world_kind
from sources.simulator.world_tables import simulate_tables

RULES: tuple[dict[str, Any], ...] = (
    {"method": "mmr", "over": "both", "strength": 0.5},
    {"method": "mmr", "over": "both", "strength": 0.2},
    {"method": "dpp", "over": "both", "strength": 0.5},
    {"method": "dpp", "over": "both", "strength": 0.2},
    {"method": "dpp", "over": "both", "strength": 0.2, "adaptive": 0.5},
    {"method": "dpp", "over": "both", "strength": 0.1},
    {"method": "dpp", "over": "categories", "strength": 0.2},
    {"method": "dpp", "over": "content", "strength": 0.2},
    {"method": "calibration", "strength": 0.5},
    {"method": "calibration", "strength": 0.1},
)
COLUMNS = ("rule", "loss allowed", "NDCG", "gain", "diversity", "miscalibration", "coverage")


def main() -> None:
    """Simulate, fit, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="articles")
    parser.add_argument("--windows", default="1,2,3,4")
    parser.add_argument("--people", type=int, default=250)
    parser.add_argument("--loss", default="0.02,0.05")
    chosen = parser.parse_args()
    settings = overridden_settings(PARAMS.read_bytes(), load_preset(Path(), chosen.app))
    losses = [float(loss) for loss in chosen.loss.split(",")]
    tables = _simulated(settings)
    splits = every_window(tables, settings)
    windows = [int(number) for number in chosen.windows.split(",")]
    measured = [row for number in windows for row in _measured(settings, tables, splits[number], losses, chosen.people)]
    k = settings.evaluate.cutoffs[0]
    figures = _figures(measured, k, Bootstrap(settings.evaluate.n_bootstrap, settings.seed))
    print_table(COLUMNS, [_cells(figure) for figure in figures])
    about = {"windows": windows, "people": chosen.people, "k": k}
    print_figures("diversity", {**about, "rules": figures}, data=f"the world of {chosen.app}", seed=settings.seed)


def _simulated(settings: Settings) -> CanonicalTables:
    world = settings.ingest.simulator
    if world is None:
        raise SystemExit(f"The application {settings.app} is not simulated; name one that is: articles or shop.")
    return simulate_tables(WorldSpec(world_kind(world.kind), world.n_users, world.n_items, world.n_days, world.seed))


def _measured(
    settings: Settings, tables: CanonicalTables, split: TimeSplit, losses: Sequence[float], most_people: int
) -> Iterator[tuple[str, float, Evaluation]]:
    """(rule, loss allowed, what was measured) of the first people of a window."""
    data = window_data(settings, tables, split)
    release = fit_release(settings, data, settings.seed)
    item_ids = release.catalogue.ids
    reader = OfflineFeatureReader(data.values, release.schemas, item_ids)
    popularity = popularity_before(data.tables, item_ids, split.test_start)
    judge = Judge(tuple(settings.evaluate.cutoffs), item_ids, popularity, category_vectors(release.catalogue))
    asked = {WARM: warm_cases(settings, data.tables, item_ids, split.test_start)[:most_people]}
    for name, loss, rule in _rules(losses):
        yield name, loss, evaluate(release.with_rules(diversity=rule), reader, asked, judge, alone=())


def _rules(losses: Sequence[float]) -> Iterator[tuple[str, float, DiversitySettings]]:
    yield "none", 0.0, DiversitySettings()
    for settings in RULES:
        for loss in losses:
            name = ", ".join(value if isinstance(value, str) else f"{key} {value}" for key, value in settings.items())
            yield name, loss, DiversitySettings(max_relevance_loss=loss, **settings)


def _figures(measured: Sequence[tuple[str, float, Evaluation]], k: int, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """A row for each rule and loss, over all windows; a person of two windows counts twice."""
    names = list(dict.fromkeys((name, loss) for name, loss, _ in measured))
    own_order = _values(measured, names[0], f"ndcg_at_{k}")
    figures = []
    for rule in names:
        ndcg = _values(measured, rule, f"ndcg_at_{k}")
        gain = bootstrap.difference(ndcg, own_order, "diversity")
        coverage = [one.coverage[f"coverage_at_{k}"].item() for name, loss, one in measured if (name, loss) == rule]
        means = {
            name: float(np.nanmean(_values(measured, rule, f"{name}_at_{k}")))
            for name in ("diversity", "miscalibration")
        }
        figure = {"ndcg": float(ndcg.mean()), "gain": gain.mean, "low": gain.low, "high": gain.high, **means}
        rounded = {name: round(value, 4) for name, value in {**figure, "coverage": float(np.mean(coverage))}.items()}
        figures.append({"rule": rule[0], "loss": rule[1], **rounded})
    return figures


def _values(measured: Sequence[tuple[str, float, Evaluation]], rule: tuple[str, float], metric: str) -> np.ndarray:
    rows = [
        one.per_person.filter(pl.col("system") == SLATES).sort("user_id")[metric].cast(pl.Float64).to_numpy()
        for name, loss, one in measured
        if (name, loss) == rule
    ]
    return np.concatenate(rows)


def _cells(figure: dict[str, Any]) -> list[str]:
    gain = f"{figure['gain']:+.4f} [{figure['low']:+.4f}, {figure['high']:+.4f}]"
    rest = [f"{figure[name]:.3f}" for name in ("diversity", "miscalibration", "coverage")]
    return [figure["rule"], f"{100 * figure['loss']:g}%", f"{figure['ndcg']:.4f}", gain, *rest]


if __name__ == "__main__":
    main()
