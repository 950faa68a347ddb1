"""An evaluation as files: figures for `dvc metrics show`, tables and a picture for `dvc plots show`.

metrics.json         the headline, the gain over each rival, the slates per group
notes.txt            what somebody should know of it, a line each; empty where there is nothing
glance/<who>.json    the slates for each group, and each rival: the same few keys, so that they line up in a table;
                     miscalibration is missing where there is no history, candidates_recall where there is no quota
per_system.csv       group, system, metric, value, low, high
ndcg_by_system.csv   the headline metric of people with history, one row per system, best first; and as PNG
slices.json          the slates per group, tier and length of history, and per kind of item that was wanted
stages.csv           group, stage, value, low, high: how much of what people wanted is left after each stage
generators.csv       what each generator proposes of it alone, and what is missed without it; people with a history
per_user.parquet     the values per person behind all of it, for paired tests
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from contracts.json_file import write_json
from contracts.tables import write_parquet
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES, Evaluation
from release.evaluation.stage_summary import ItemBands, generator_table, item_slices, stage_figures, stage_table
from release.evaluation.stages import CANDIDATES_RECALL
from release.evaluation.summary import RIVALS, Bootstrap, per_system, slices, summarise

METRICS: Final = "metrics.json"
NOTES: Final = "notes.txt"
GLANCE: Final = "glance"
PER_USER: Final = "per_user.parquet"
SLICES: Final = "slices.json"
PER_SYSTEM: Final = "per_system.csv"
STAGES: Final = "stages.csv"
GENERATORS: Final = "generators.csv"
BY_SYSTEM: Final = "ndcg_by_system"
SLATES_COLOUR: Final = "#33658a"
OTHER_COLOUR: Final = "#b8c4ce"


def write_report(
    folder: Path,
    evaluation: Evaluation,
    bootstrap: Bootstrap,
    metric: str,
    window: tuple[datetime, datetime],
    built_with: Mapping[str, str],
    notes: Sequence[str] = (),
    tracing: Tracing | None = None,
) -> dict[str, Any]:
    """Write all files into an existing folder; equal evaluations give equal bytes. Returns what metrics.json holds.

    metric: the one of the headline, like `ndcg_at_10`; window: where the test window starts and ends.
    built_with: fingerprints of what was measured; notes: for whoever reads the report. tracing: what it takes to tell
    where wanted items were missed; without it the files that tell of it are not written.
    """
    summary = {"built_with": dict(built_with), **summarise(evaluation, bootstrap, metric, window)}
    sliced = slices(evaluation, bootstrap, metric)
    if tracing is not None and evaluation.wanted is not None:
        summary |= _write_stages(folder, evaluation.wanted, evaluation.cutoffs, tracing, bootstrap)
        sliced += item_slices(evaluation.wanted, tracing.bands, evaluation.cutoffs[0], bootstrap)
    systems = per_system(evaluation, bootstrap)
    ranking = by_system(systems, metric)
    write_parquet(evaluation.per_person, folder / PER_USER)
    systems.write_csv(folder / PER_SYSTEM)
    ranking.write_csv(folder / f"{BY_SYSTEM}.csv")
    _plot(folder / f"{BY_SYSTEM}.png", ranking, metric)
    write_json(sliced, folder / SLICES, sort_keys=False, allow_nan=False)
    write_json(summary, folder / METRICS, sort_keys=False, allow_nan=False)
    (folder / NOTES).write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")
    for who, figures in glance(systems, metric).items():
        write_json(figures, folder / GLANCE / f"{who}.json", sort_keys=False, allow_nan=False)
    return summary


@dataclass(frozen=True)
class Tracing:
    """What it takes to tell where wanted items were missed. bands: kinds of items; quotas: of the generators."""

    bands: ItemBands
    quotas: Mapping[str, int]


def _write_stages(
    folder: Path, wanted: pl.DataFrame, cutoffs: tuple[int, ...], tracing: Tracing, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Write the two tables; returns what metrics.json holds of them."""
    stages = stage_table(wanted, cutoffs, bootstrap)
    generators = generator_table(wanted, WARM, tracing.quotas, bootstrap)
    stages.write_csv(folder / STAGES)
    generators.write_csv(folder / GENERATORS)
    adds = {row["generator"]: {name: row[name] for name in ("alone", "last")} for row in generators.rows(named=True)}
    return {"stages": stage_figures(stages, cutoffs[0]), "generators": adds}


def glance(systems: pl.DataFrame, metric: str) -> dict[str, dict[str, float]]:
    """A few figures at the headline's cutoff: the slates by group, and the rivals for people with history."""
    at = metric.removeprefix("ndcg")
    groups = {group: _row(systems, str(group), SLATES, at) for group in systems["group"].unique(maintain_order=True)}
    present = set(systems["system"])
    return groups | {name: _row(systems, WARM, name, at) for name in RIVALS if name in present}


def _row(systems: pl.DataFrame, group: str, system: str, at: str) -> dict[str, float]:
    rows = systems.filter((pl.col("group") == group) & (pl.col("system") == system))
    at_a_glance = pl.col("metric").str.ends_with(at) | (pl.col("metric") == CANDIDATES_RECALL)
    values = dict(rows.filter(at_a_glance).select("metric", "value").iter_rows())
    interval = rows.filter(pl.col("metric") == f"ndcg{at}").select("low", "high").row(0, named=True)
    return {**values, **{f"ndcg{at}_{end}": value for end, value in interval.items()}}


def by_system(systems: pl.DataFrame, metric: str) -> pl.DataFrame:
    """system, value, low, high of one metric for people with history, best first."""
    rows = systems.filter((pl.col("group") == WARM) & (pl.col("metric") == metric))
    return rows.select("system", "value", "low", "high").sort(["value", "system"], descending=[True, False])


def _plot(path: Path, ranking: pl.DataFrame, metric: str) -> None:
    # The server imports this room and never plots.
    from matplotlib import style  # noqa: PLC0415 see above
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 see above
    from matplotlib.figure import Figure  # noqa: PLC0415 see above

    worst_first = ranking.reverse()
    values = worst_first["value"].to_numpy()
    spread = [values - worst_first["low"].to_numpy(), worst_first["high"].to_numpy() - values]
    colours = [SLATES_COLOUR if system == SLATES else OTHER_COLOUR for system in worst_first["system"]]
    # Not somebody's matplotlibrc: the same evaluation gives the same plot.
    with style.context("default"):
        figure = Figure(figsize=(8, 0.4 * ranking.height + 1.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.barh(worst_first["system"].to_list(), values, xerr=spread, color=colours, ecolor="#444444", capsize=3)
        axes.set_xlabel(f"{metric.replace('_at_', '@')}, mean over people with history and its 95% interval")
        axes.spines[["top", "right"]].set_visible(False)
        # No version and no date: they would change the bytes of an unchanged plot.
        figure.savefig(path, dpi=110, metadata={"Software": None})
