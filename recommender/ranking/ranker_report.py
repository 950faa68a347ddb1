"""What a person wants to see of a trained ranker: which features matter, and how it learnt. Files beside the model."""

from __future__ import annotations

from pathlib import Path

from contracts.fingerprint import canonical_json
from recommender.ranking.ranker import LearningCurve, Ranker

IMPORTANCE_JSON = "importance.json"
IMPORTANCE_CSV = "importance.csv"
IMPORTANCE_PLOT = "importance.png"
LEARNING_CURVE = "learning_curve.csv"
N_PLOTTED = 25


def write_ranker_report(folder: Path, ranker: Ranker) -> None:
    """Write importance (JSON, CSV, plot) and, of a ranker just trained, the learning curve."""
    folder.mkdir(parents=True, exist_ok=True)
    importance = ranker.importance()
    (folder / IMPORTANCE_JSON).write_bytes(canonical_json(importance) + b"\n")
    rows = [f"{name},{share:.6f}" for name, share in importance.items()]
    _write_lines(folder / IMPORTANCE_CSV, ["feature,share_of_gain", *rows])
    _plot(folder / IMPORTANCE_PLOT, dict(list(importance.items())[:N_PLOTTED]))
    if ranker.curve is not None:
        _write_lines(folder / LEARNING_CURVE, _curve_lines(ranker.curve))


def _curve_lines(curve: LearningCurve) -> list[str]:
    pairs = zip(curve.training, curve.held_back, strict=True)
    rows = [f"{tree},{training:.6f},{held_back:.6f}" for tree, (training, held_back) in enumerate(pairs, start=1)]
    return ["trees,training_ndcg,held_back_ndcg", *rows]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plot(path: Path, importance: dict[str, float]) -> None:
    # The server imports this room and never plots.
    from matplotlib import style  # noqa: PLC0415 see above
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 see above
    from matplotlib.figure import Figure  # noqa: PLC0415 see above

    # Not somebody's matplotlibrc: the plot travels in the bundle, and its bytes are part of the release id.
    with style.context("default"):
        figure = Figure(figsize=(8, 0.28 * len(importance) + 1), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        names = list(importance)[::-1]
        axes.barh(names, [100 * importance[name] for name in names], color="#33658a")
        axes.set_xlabel("share of the gain of all splits, %")
        axes.set_title("What the ranker looks at")
        axes.spines[["top", "right"]].set_visible(False)
        # No version and no date: they would change the bytes of an unchanged plot.
        figure.savefig(path, dpi=110, metadata={"Software": None})
