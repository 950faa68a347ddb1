"""What a comparison comes to: figures for programs, and a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bench.quality.comparison import Measured
from bench.quality.peer_registry import Peer
from contracts.settings.settings import Settings
from pipelines.rolling.figures import figures_of
from pipelines.rolling.judgement import Comparer
from release.evaluation.evaluation import SLATES

COLUMNS = ("system", "NDCG@10", "95%", "recall@20", "hit@10", "MRR@10", "coverage@10")
COLUMNS += (
    "the slates gain",
    "people",
    "windows",
    "ahead in",
    "fit s",
    "predict s",
    "peak MiB",
)  # seconds of the processor


def metrics_of(settings: Settings) -> tuple[str, ...]:
    """NDCG@10 first, and the others that the table tells."""
    first, second = settings.evaluate.cutoffs[0], settings.evaluate.cutoffs[-1]
    return (f"ndcg_at_{first}", f"recall_at_{second}", f"hit_rate_at_{first}", f"mrr_at_{first}")


def figures_of_comparison(
    measured: Measured,
    settings: Settings,
    bounds: Mapping[int, tuple[datetime, datetime]],
    seeds: Sequence[int],
    peers: Sequence[Peer],
) -> dict[str, Any]:
    """The slates, the generators alone and the peers, with intervals; the lead is over the best peer measured."""
    comparer = Comparer(measured.per_person(), settings.evaluate.n_bootstrap, settings.seed)
    told, k = figures_of(comparer, bounds, seeds, metrics_of(settings)), settings.evaluate.cutoffs[0]
    systems = {
        name: {**means, "gain": told["gain_over"][name], f"coverage_at_{k}": round(measured.coverage(name, k), 6)}
        for name, means in told["generators"].items()
    }
    names = [peer.name for peer in peers]
    of_peers = {peer.name: _peer_figures(measured, peer, systems) for peer in peers}
    metric = metrics_of(settings)[0]
    return {
        metric: told["slates"][metric]["mean"],
        metrics_of(settings)[1]: told["slates"][metrics_of(settings)[1]]["mean"],
        **_lead({name: systems[name]["gain"][metric] for name in names if name in systems}),
        "not_measured": measured.missing,
        "windows": told["windows"],
        "seeds": told["seeds"],
        "slates": {**told["slates"], f"coverage_at_{k}": round(measured.coverage(SLATES, k), 6)},
        "slates_cost": measured.cost(SLATES),
        "generators": {name: one for name, one in systems.items() if name not in names},
        "peers": of_peers,
    }


def _peer_figures(measured: Measured, peer: Peer, systems: Mapping[str, Any]) -> dict[str, Any]:
    if peer.name in measured.missing:
        return {"not_measured": measured.missing[peer.name]}
    tuned = measured.tuned[peer.name]
    tuning = {
        "tried": [dict(parameters) for parameters in peer.grid],
        "chosen": {window: dict(one.parameters) for window, one in tuned.items()},
        "validation_ndcg": {window: [round(value, 6) for value in one.tried] for window, one in tuned.items()},
    }
    return {**systems[peer.name], "cost": measured.cost(peer.name), "tuning": tuning}


def _lead(gains: Mapping[str, Any]) -> dict[str, Any]:
    """The paired gain over the peer over which it is smallest, which is the best one; nothing without peers."""
    if not gains:
        return {"best_peer": None, "lead": None, "lead_low": None}
    best = min(gains, key=lambda name: gains[name]["mean"])
    return {"best_peer": best, "lead": gains[best]["mean"], "lead_low": gains[best]["over_people"][0]}


def table_rows(figures: Mapping[str, Any], metrics: Sequence[str]) -> list[list[str]]:
    """A row for each system, best first, under COLUMNS; what was not measured stands last, and says why."""
    n_windows, coverage = len(figures["windows"]), metrics[0].replace("ndcg", "coverage")
    slates = {**figures["slates"], "cost": figures["slates_cost"]}
    systems = {"our slates": slates}
    systems |= {f"our {name} alone": one for name, one in figures["generators"].items()}
    systems |= {name: one for name, one in figures["peers"].items() if "not_measured" not in one}
    best_first = sorted(systems, key=lambda name: -systems[name][metrics[0]]["mean"])
    rows = [
        [
            name,
            *_mean_and_ends(systems[name][metrics[0]]),
            *(f"{systems[name][metric]['mean']:.3f}" for metric in metrics[1:]),
            f"{systems[name][coverage]:.3f}",
            *_gain_cells(systems[name].get("gain", {}).get(metrics[0]), n_windows),
            *_cost_cells(systems[name].get("cost")),
        ]
        for name in best_first
    ]
    return rows + [[name, why, *[""] * (len(COLUMNS) - 2)] for name, why in figures["not_measured"].items()]


def _mean_and_ends(estimate: Mapping[str, Any], sign: str = "") -> list[str]:
    low, high = estimate["over_people"]
    return [f"{estimate['mean']:{sign}.3f}", f"[{low:{sign}.3f}, {high:{sign}.3f}]"]


def _gain_cells(gain: Mapping[str, Any] | None, n_windows: int) -> list[str]:
    if gain is None:
        return [""] * 4
    low, high = gain["over_windows"]
    return [*_mean_and_ends(gain, "+"), f"[{low:+.3f}, {high:+.3f}]", f"{gain['n_ahead']} of {n_windows}"]


def _cost_cells(cost: Mapping[str, float] | None) -> list[str]:
    if cost is None:
        return [""] * 3
    return [f"{cost['fit_processor_s']:.1f}", f"{cost['predict_processor_s']:.2f}", f"{cost['peak_mib']:.0f}"]
