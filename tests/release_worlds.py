"""Small real releases for tests: the stages themselves, run on the small world with settings that take seconds."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

from contracts.settings.settings import Settings, load_settings
from contracts.stage_code import GRAPH, ROOMS
from contracts.tables import CanonicalTables
from pipelines import candidates, evaluate, features, index, ranking
from pipelines.matrix_run import load_split
from pipelines.paths import EVALUATION, FEATURES, VALID, VALIDATION_RESULT, Cutoff, feature_values
from pipelines.placements import compiled_placements
from recommender.generators.sets import load_generators
from release.bundle.bundle import FittedArtefacts
from release.bundle_build import Ingredients
from release.evaluation.cases import known_contexts

CHECKOUT = Path(__file__).resolve().parent.parent


def small_settings(**changes: dict[str, Any]) -> Settings:
    """The checkout's parameters with small models; changes: whole or partial groups by name."""
    settings = load_settings(CHECKOUT / "params.yaml").model_dump(by_alias=True)
    small = {
        "features": {"n_snapshots": 3, "snapshot_step_share": 0.1, "history_length": 50},
        "candidates": {
            "als": {"factors": 4, "regularization": 0.1, "alpha": 5.0, "iterations": 3},
            "covisitation": {**settings["candidates"]["covisitation"], "n_neighbours": 10},
            "popular": {"recent_days": 20, "segment_smoothing": 10},
        },
        "index": {"recall_k": 10},
        "ranking": {"n_trees": 6, "n_leaves": 4, "min_rows_per_leaf": 20, "early_stopping_rounds": 3, "n_threads": 1},
        "evaluate": {"n_bootstrap": 100},
        "release": {"n_golden_queries": 9},
    }
    for group, values in [*small.items(), *changes.items()]:
        settings[group] = {**settings[group], **values}
    return Settings.model_validate(settings)


def link_code(folder: Path) -> None:
    """This checkout's code and graph in a folder that stands for a checkout: a release is named after its code, too."""
    for name in (*ROOMS, GRAPH):
        (folder / name).symlink_to(CHECKOUT / name)


def run_stages(workspace: Path, tables: CanonicalTables, settings: Settings) -> None:
    """Everything up to `evaluate`, in a folder that stands for a checkout."""
    workspace.mkdir(parents=True, exist_ok=True)
    with chdir(workspace):
        tables.save(VALID)
        VALIDATION_RESULT.parent.mkdir(parents=True, exist_ok=True)
        VALIDATION_RESULT.write_text(json.dumps({"success": True}) + "\n")
        features.run(settings)
        for cutoff in Cutoff:
            candidates.run(settings, cutoff)
            index.run(settings, cutoff)
        ranking.run(settings)
        evaluate.run(settings)


def ingredients_of(workspace: Path, settings: Settings) -> Ingredients:
    """What the stages left in the folder, as the stage `release` would take it; the code has a fixed fingerprint."""
    with chdir(workspace):
        split, contexts = load_split(), known_contexts(CanonicalTables.load(VALID).users)
        request = compiled_placements(settings.request, load_generators(evaluate.fit_of(Cutoff.ALL).candidates))
    return Ingredients(
        settings=settings.model_copy(update={"request": request}),
        shipped=_below(workspace, Cutoff.ALL),
        measured=_below(workspace, Cutoff.TEST),
        schemas=workspace / FEATURES,
        values=workspace / feature_values(Cutoff.ALL),
        measured_values=workspace / feature_values(Cutoff.TEST),
        evaluation=workspace / EVALUATION,
        validation=workspace / VALIDATION_RESULT,
        test_start=split.test_start,
        as_of=split.as_of,
        contexts=[contexts[user_id] for user_id in sorted(contexts)],
        data={"interactions": "small", "items": "small", "users": "small"},
        code="small-world",
    )


def _below(workspace: Path, cutoff: Cutoff) -> FittedArtefacts:
    fit = evaluate.fit_of(cutoff)
    return FittedArtefacts(*(workspace / part for part in fit.parts.values()))
