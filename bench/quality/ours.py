"""Our whole chain on one rolling window, in a process of its own, so that its memory is its own.

    python -m bench.quality.ours FOLDER --window N --seeds S ...

Run in a workspace of `bench.quality.workspace`. Writes into FOLDER, of each seed, what was measured of people with a
history, the slates and every generator alone; and costs.json, as a peer's process does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

from bench.quality.peers.exchange import COSTS, Stopwatch, peak_mib
from bench.quality.windows import every_window, warm_cases
from contracts.clock import FixedClock
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from pipelines.paths import VALID
from pipelines.rolling.window_fit import WindowData, fit_release, measured_release, window_data
from release.answering.request_path import answer_many
from release.bundle.bundle import Release
from release.evaluation.cases import WARM


def main() -> None:
    """Fit, answer and measure with each seed; features are computed once, and count with every fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    asked = parser.parse_args()
    settings, tables = load_settings(), CanonicalTables.load(VALID, impressions=False)
    preparing = Stopwatch()
    data = window_data(settings, tables, every_window(tables, settings)[asked.window])
    prepared = preparing.seconds("fit")
    costs = []
    for seed in asked.seeds:
        fitting = Stopwatch()
        release = fit_release(settings, data, seed)
        spent = {name: seconds + prepared[name] for name, seconds in fitting.seconds("fit").items()}
        costs.append({**spent, **_answering_cost(settings, data, release), "peak_mib": peak_mib()})
        evaluation = measured_release(settings, data, release)
        for table, path in zip((evaluation.per_person, evaluation.coverage), _paths(asked.folder, seed), strict=True):
            table.filter(pl.col("group") == WARM).write_parquet(path)
    (asked.folder / COSTS).write_text(json.dumps(costs))


def read_measured(folder: Path, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `main` wrote of a seed: values per person and system, and coverage per system."""
    per_person, coverage = map(pl.read_parquet, _paths(folder, seed))
    return per_person, coverage


def _paths(folder: Path, seed: int) -> tuple[Path, Path]:
    return folder / f"per_person-{seed}.parquet", folder / f"coverage-{seed}.parquet"


def _answering_cost(settings: Settings, data: WindowData, release: Release) -> dict[str, float]:
    """Of the slates alone, without the generators that are measured beside them."""
    reader = OfflineFeatureReader(data.values, release.schemas, release.catalogue.ids)
    cases = warm_cases(settings, data.tables, release.catalogue.ids, data.split.test_start)
    answering = Stopwatch()
    answer_many(release, reader, FixedClock(data.split.test_start), [case.request for case in cases])
    return answering.seconds("predict")


if __name__ == "__main__":
    main()
