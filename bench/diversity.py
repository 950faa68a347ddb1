"""What does diversity cost, and what does it bring? A simulated application under one rule after the other.

    python -m bench.diversity [--app articles] [--world 7] [--windows 2 4] [--people 150] [--days 3]
                              [--method mmr dpp calibration] [--strength 0.1] [--adaptive 0] [--loss 0.02]

The application's world is simulated and its models are fitted before rolling windows, as `slate judge` does. Under each
method of `request.diversity`, people with a history are asked, and their slates held against what the log says they
wanted: NDCG, diversity (over categories), miscalibration. Then the world goes on for some days under these slates, and
the clicks that these are worth by the truth are counted, for everybody: the log follows the policy that wrote it, and
knows nothing of who tires of what. Both are told beside the ranker's own order, with paired 95% intervals over people;
a person of two windows counts twice. Defaults of a preset are chosen on it. The last window, which the stage `evaluate`
reports, is not among them. --world: the seed of another world of the same kind, which chose nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from bench.quality.windows import every_window, warm_cases
from bench.report import print_figures, print_table
from bench.served_world import clicks_under, world_on
from contracts.settings.diversity import DiversitySettings
from contracts.settings.params_path import PARAMS
from contracts.settings.presets import load_preset
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from pipelines.rolling.window_fit import fit_release, window_data
from pipelines.runs.overrides import overridden_settings
from recommender.judging.intervals import Interval
from recommender.split import TimeSplit
from release.evaluation.cases import WARM, popularity_before
from release.evaluation.evaluation import SLATES, Evaluation, evaluate
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.summary import Bootstrap
from sources.simulator.world_spec import WorldSpec, world_kind
from sources.simulator.world_tables import simulate_tables

METHODS: Final[tuple[dict[str, Any], ...]] = (
    {"method": "mmr", "over": "categories"},
    {"method": "mmr", "over": "content"},
    {"method": "mmr", "over": "both"},
    {"method": "dpp", "over": "categories"},
    {"method": "dpp", "over": "content"},
    {"method": "dpp", "over": "both"},
    {"method": "calibration"},
)
OWN_ORDER: Final = "none"
COLUMNS: Final = ("rule", "loss", "NDCG", "gain", "diversity", "miscalibration", "clicks a person", "gain")


def main() -> None:
    """Simulate, fit, ask, serve, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="articles")
    parser.add_argument("--world", type=int, metavar="SEED")
    parser.add_argument("--windows", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--method", nargs="+", default=["mmr", "dpp", "calibration"])
    for name, value in {"strength": 0.1, "adaptive": 0.0, "loss": 0.02}.items():
        parser.add_argument(f"--{name}", nargs="+", type=float, default=[value])
    chosen = parser.parse_args()
    settings = overridden_settings(PARAMS.read_bytes(), load_preset(Path(), chosen.app))
    spec = _spec(settings, chosen.world)
    tables = simulate_tables(spec)
    splits = every_window(tables, settings)
    measured = [one for number in chosen.windows for one in _measured(settings, spec, tables, splits[number], chosen)]
    bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
    figures = _figures(measured, settings.evaluate.cutoffs[0], bootstrap)
    print_table(COLUMNS, [_cells(figure) for figure in figures])
    about = {"world": spec.seed, "windows": chosen.windows, "people": chosen.people, "days": chosen.days}
    print_figures("diversity", {**about, "rules": figures}, data=f"the world of {chosen.app}", seed=settings.seed)


def _spec(settings: Settings, seed: int | None) -> WorldSpec:
    world = settings.ingest.simulator
    if world is None:
        raise SystemExit(f"The application {settings.app} is not simulated; name one that is: articles or shop.")
    return WorldSpec(
        world_kind(world.kind), world.n_users, world.n_items, world.n_days, world.seed if seed is None else seed
    )


@dataclass(frozen=True)
class _Measured:
    """One rule on one window. clicks: by user_id, what the slates of the days served are worth."""

    rule: str
    loss: float
    evaluation: Evaluation
    clicks: Mapping[str, float]


def _measured(
    settings: Settings, spec: WorldSpec, tables: CanonicalTables, split: TimeSplit, chosen: argparse.Namespace
) -> Iterator[_Measured]:
    data = window_data(settings, tables, split)
    release = fit_release(settings, data, settings.seed)
    item_ids = release.catalogue.ids
    reader = OfflineFeatureReader(data.values, release.schemas, item_ids)
    popularity = popularity_before(data.tables, item_ids, split.test_start)
    judge = Judge(tuple(settings.evaluate.cutoffs), item_ids, popularity, category_vectors(release.catalogue))
    asked = {WARM: warm_cases(settings, data.tables, item_ids, split.test_start)[: chosen.people]}
    morning = world_on(spec, split.test_start)
    for name, loss, rule in _rules(chosen):
        ruled = release.with_rules(diversity=rule)
        clicks = clicks_under(ruled, reader, morning, chosen.days)
        yield _Measured(name, loss, evaluate(ruled, reader, asked, judge, alone=()), clicks)


def _rules(chosen: argparse.Namespace) -> Iterator[tuple[str, float, DiversitySettings]]:
    """(name, loss allowed, rule), first the ranker's own order."""
    yield OWN_ORDER, 0.0, DiversitySettings()
    methods = [method for method in METHODS if method["method"] in chosen.method]
    for method, strength, adaptive, loss in product(methods, chosen.strength, chosen.adaptive, chosen.loss):
        rule = DiversitySettings(strength=strength, adaptive=adaptive, max_relevance_loss=loss, **method)
        yield f"{' '.join(method.values())}, {strength:g}, adaptive {adaptive:g}", loss, rule


def _figures(measured: Sequence[_Measured], k: int, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """A row for each rule and loss, over all windows."""
    rules = list(dict.fromkeys((one.rule, one.loss) for one in measured))
    windows = {rule: [one for one in measured if (one.rule, one.loss) == rule] for rule in rules}
    own_order = windows[OWN_ORDER, 0.0]
    figures = []
    for (rule, loss), ones in windows.items():
        metrics = {name: _values(ones, f"{name}_at_{k}") for name in ("ndcg", "diversity", "miscalibration")}
        gain = bootstrap.difference(metrics["ndcg"], _values(own_order, f"ndcg_at_{k}"), "ndcg")
        clicks_gain = bootstrap.difference(_clicks(ones), _clicks(own_order), "clicks")
        means = {name: float(np.nanmean(values)) for name, values in {**metrics, "clicks": _clicks(ones)}.items()}
        rounded = {name: round(mean, 4) for name, mean in means.items()}
        figures.append({"rule": rule, "loss": loss, **rounded, "gain": _ends(gain), "clicks_gain": _ends(clicks_gain)})
    return figures


def _values(ones: Sequence[_Measured], metric: str) -> npt.NDArray[np.float64]:
    """(n_people,) a metric of the slates, the people of all windows one after the other."""
    tables = [one.evaluation.per_person.filter(pl.col("system") == SLATES).sort("user_id") for one in ones]
    return np.concatenate([table[metric].cast(pl.Float64).to_numpy() for table in tables])


def _clicks(ones: Sequence[_Measured]) -> npt.NDArray[np.float64]:
    return np.array([clicks for one in ones for _, clicks in sorted(one.clicks.items())])


def _ends(interval: Interval) -> list[float]:
    return [round(value, 4) for value in (interval.mean, interval.low, interval.high)]


def _cells(figure: dict[str, Any]) -> list[str]:
    gain, clicks_gain = ("{:+.4f} [{:+.4f}, {:+.4f}]".format(*figure[name]) for name in ("gain", "clicks_gain"))
    shown = [f"{figure[name]:.3f}" for name in ("diversity", "miscalibration")]
    measured = [f"{figure['ndcg']:.4f}", gain, *shown, f"{figure['clicks']:.4f}", clicks_gain]
    return [figure["rule"], f"{100 * figure['loss']:g}%", *measured]


if __name__ == "__main__":
    main()
