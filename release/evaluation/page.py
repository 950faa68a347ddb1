"""The report of an evaluation as one HTML file that needs nothing else: what the files beside it say, drawn.

Equal files give equal bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from contracts.artefact import reading
from contracts.json_file import load_json
from contracts.web_page import render_page
from contracts.whole_files import write_whole
from recommender.ranking.ranker_report import IMPORTANCE_CSV, LEARNING_CURVE
from release.bundle.headline import headline_sentence
from release.evaluation.cases import COLD_CONTEXT, COLD_POPULAR, COLD_SESSION, WARM
from release.evaluation.diversity_curve import DIVERSITY
from release.evaluation.drawing import HEIGHT, LEFT, WIDTH, Axes, Bar, interval_bars, set_apart, share_bars
from release.evaluation.evaluation import SLATES
from release.evaluation.report import GENERATORS, METRICS, NOTES, PER_SYSTEM, SLICES

PAGE: Final = "report.html"
REBUILD: Final = "Run `dvc repro evaluate`."
N_FEATURES: Final = 15  # of the ranker: those behind add little
MARK_WIDTH: Final = 20  # of a numbered mark in a plot, and some air
GROUPS: Final = {
    WARM: "People with a history",
    COLD_SESSION: "Newcomers after their first two events",
    COLD_CONTEXT: "Newcomers with what is known of them beforehand",
    COLD_POPULAR: "Newcomers of whom nothing is known",
}
_SHORT: Final = {
    WARM: "with a history",
    COLD_SESSION: "after two events",
    COLD_CONTEXT: "of known circumstances",
    COLD_POPULAR: "strangers",
}


def write_page(folder: Path, ranker: Path) -> Path:
    """Write the page beside what `write_report` wrote, and return where it is. ranker: the folder of the ranker."""
    write_whole(folder / PAGE, page(folder, ranker).encode(), shared=True)
    return folder / PAGE


def page(folder: Path, ranker: Path) -> str:
    """The page's text."""
    metrics: dict[str, Any] = load_json(folder / METRICS, REBUILD)
    systems = pl.read_csv(folder / PER_SYSTEM)
    k = _first_cutoff(metrics["headline"])
    sliced = [row for row in _load_rows(folder / SLICES) if row["slice"] != "everybody"]
    return render_page(
        __package__,
        "evaluation.html",
        title="How good the slates are",
        headline=headline_sentence(metrics["headline"]),
        window=metrics["window"],
        notes=(folder / NOTES).read_text(encoding="utf-8").splitlines(),
        k=k,
        funnels=[
            _funnel(name, metrics["stages"][group], k) for group, name in GROUPS.items() if group in metrics["stages"]
        ],
        generators=pl.read_csv(folder / GENERATORS).rows(named=True),
        tiers=_bars_of(sliced, f"ndcg_at_{k}", "tier "),
        histories=_bars_of(sliced, f"ndcg_at_{k}", "history "),
        kinds=_kinds(sliced, k),
        systems=interval_bars(_ndcg_rows(systems, k), SLATES),
        scatter=_scatter(systems, k),
        budgets=_budgets(folder / DIVERSITY),
        curve=_curve(ranker / LEARNING_CURVE),
        importance=_importance(ranker / IMPORTANCE_CSV),
        figures=[(metric, *cells) for metric, cells in _figures(systems)],
        plot={"width": WIDTH, "height": HEIGHT, "left": LEFT},
    )


def _load_rows(path: Path) -> list[dict[str, Any]]:
    with reading(path):
        return list(json.loads(path.read_bytes()))


def _first_cutoff(headline: dict[str, Any]) -> int:
    return int(next(name for name in headline if name.startswith("ndcg_at_")).removeprefix("ndcg_at_"))


@dataclass(frozen=True)
class _Funnel:
    """What is left of what a group wanted after each stage, and the share that is missed in each."""

    name: str
    n_candidates: float
    left: list[Bar]
    missed: dict[str, float]


def _funnel(name: str, figures: dict[str, Any], k: int) -> _Funnel:
    left = {
        "wanted": 1.0,
        "proposed": figures["proposed"],
        "candidates": figures["candidates"],
        f"best order, first {k}": figures[f"best_order_at_{k}"],
        f"shown, first {k}": figures[f"shown_at_{k}"],
    }
    return _Funnel(name, figures["n_candidates"], share_bars(left), figures[f"missed_at_{k}"])


def _bars_of(rows: list[dict[str, Any]], metric: str, prefix: str) -> list[Bar]:
    """Bars of the slices whose names begin so, with the number of people behind each."""
    return interval_bars(
        [
            (f"{row['slice'].removeprefix(prefix)}: {row['people']} {_SHORT[row['group']]}", *_ends(row, "mean"))
            for row in rows
            if row["metric"] == metric and row["slice"].startswith(prefix)
        ]
    )


@dataclass(frozen=True)
class _Kind:
    """How the wanted items of one kind fare, as shares of them."""

    name: str
    n_items: int
    proposed: float
    shown: float


def _kinds(rows: list[dict[str, Any]], k: int) -> list[_Kind]:
    """Kinds of items that people with a history wanted."""
    warm = {(row["slice"], row["metric"]): row for row in rows if row["group"] == WARM and "items" in row}
    return [
        _Kind(name.removeprefix("items "), row["items"], row["mean"], warm[name, f"recall_at_{k}"]["mean"])
        for (name, metric), row in warm.items()
        if metric == "candidates_recall"
    ]


def _ndcg_rows(systems: pl.DataFrame, k: int) -> list[tuple[str, float, float, float]]:
    """(name, value, low, high) of each system for people with a history, best first."""
    rows = systems.filter((pl.col("group") == WARM) & (pl.col("metric") == f"ndcg_at_{k}"))
    return list(
        rows.sort(["value", "system"], descending=[True, False]).select("system", "value", "low", "high").rows()
    )


@dataclass(frozen=True)
class _Point:
    """One system. at: where it stands; mark: where its number does, beside it where others stand too near."""

    number: int
    name: str
    at: tuple[float, float]
    mark: tuple[float, float]
    is_ours: bool
    text: str


@dataclass(frozen=True)
class _Scatter:
    """Systems by diversity (across) and NDCG (up), numbered from the best."""

    axes: Axes
    points: list[_Point]


def _scatter(systems: pl.DataFrame, k: int) -> _Scatter:
    warm = systems.filter(pl.col("group") == WARM)
    diversity = dict(warm.filter(pl.col("metric") == f"diversity_at_{k}").select("system", "value").iter_rows())
    relevance = {name: value for name, value, _, _ in _ndcg_rows(systems, k)}
    axes = Axes.around([diversity[name] for name in relevance], [0.0, *relevance.values()])
    places = [axes.place(diversity[name], value) for name, value in relevance.items()]
    marks = set_apart(places, MARK_WIDTH)
    points = [
        _Point(number, name, at, mark, name == SLATES, f"{name}: NDCG {value:.3f}, diversity {diversity[name]:.3f}")
        for number, ((name, value), at, mark) in enumerate(zip(relevance.items(), places, marks, strict=True), start=1)
    ]
    return _Scatter(axes, points)


@dataclass(frozen=True)
class _Budgets:
    """The slates under one budget after the other, by diversity (across) and NDCG (up); rows: cells of a table."""

    axes: Axes
    path: str
    served_at: tuple[float, float]
    rows: list[list[str]]


def _budgets(path: Path) -> _Budgets | None:
    """None of a release whose slates are not diversified."""
    if not path.is_file():
        return None
    table = pl.read_csv(path)
    diversity, relevance = table["diversity"].to_list(), table["ndcg"].to_list()
    axes = Axes.around(diversity, relevance)
    served = table["is_served"].to_list().index(True)
    rows = [
        [
            f"{100 * row['budget']:g}%{', served' if row['is_served'] else ''}",
            f"{row['ndcg']:.3f}",
            f"{row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]",
            *("" if row[name] is None else f"{row[name]:.3f}" for name in ("diversity", "miscalibration", "coverage")),
        ]
        for row in table.rows(named=True)
    ]
    return _Budgets(axes, axes.path(diversity, relevance), axes.place(diversity[served], relevance[served]), rows)


@dataclass(frozen=True)
class _Curve:
    """How the ranker learnt. best: the number of trees at which the snapshots held back were ranked best."""

    axes: Axes
    training: str
    held_back: str
    best: int
    best_value: float
    best_at: tuple[float, float]


def _curve(path: Path) -> _Curve | None:
    """None for a ranker that was not trained just now: it knows no curve."""
    if not path.is_file():
        return None
    rows = pl.read_csv(path)
    trees, training, held_back = (rows[name].to_list() for name in ("trees", "training_ndcg", "held_back_ndcg"))
    axes = Axes.around([0, *trees], [*training, *held_back])
    best = max(range(len(trees)), key=lambda row: held_back[row])
    place = axes.place(trees[best], held_back[best])
    return _Curve(axes, axes.path(trees, training), axes.path(trees, held_back), trees[best], held_back[best], place)


def _importance(path: Path) -> list[Bar]:
    first = dict(pl.read_csv(path).head(N_FEATURES).iter_rows())
    return share_bars(first, most=max(first.values(), default=1.0) or 1.0)


def _figures(systems: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """(metric, its cell for each group) of the slates; an empty cell where nothing was measured."""
    slates = systems.filter(pl.col("system") == SLATES)
    cells = {
        (row["group"], row["metric"]): _cell(row["value"], row["low"], row["high"]) for row in slates.rows(named=True)
    }
    metrics = slates["metric"].unique(maintain_order=True)
    return [(metric, [cells.get((group, metric), "") for group in GROUPS]) for metric in metrics]


def _cell(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _ends(row: dict[str, Any], value: str) -> tuple[float, float, float]:
    return row[value], row["low"], row["high"]
