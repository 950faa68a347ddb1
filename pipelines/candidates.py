"""Stage `candidates`: fit the generators on what happened before the cutoff.

data/valid, data/features/split.json -> models/candidates/<cutoff>/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from contracts.errors import WorkspaceError
from contracts.progress import Progress
from contracts.settings.candidates import CandidateSettings, ContentVectorSettings
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.stage_code import GRAPH, dependencies_of_stage, own_code
from contracts.tables import CanonicalTables
from pipelines.matrix_run import emptied, load_split, run_matrix_stage
from pipelines.paths import CANDIDATES, VALID, Cutoff
from recommender.catalogue import Catalogue
from recommender.content_vectors import content_vectors
from recommender.generators.sets import fit_generators, save_generators


class Params(Group):
    """What the stage reads of params.yaml."""

    candidates: CandidateSettings
    seed: Seed


def run(settings: Params, cutoff: Cutoff) -> dict[str, Any]:
    """Write catalogue and generators; returns how many items and generators there are."""
    check_own_code_is_named(settings.candidates.own)
    tables = CanonicalTables.load(VALID, impressions=False)
    as_of = load_split().end(cutoff)
    catalogue = catalogue_of(tables, as_of, settings.candidates.content_vectors, settings.seed)
    progress = partial(Progress, desc=f"candidates@{cutoff}", unit="generator")
    generators = fit_generators(tables, catalogue, as_of, settings.candidates, settings.seed, progress)
    meta = save_generators(emptied(CANDIDATES / cutoff), catalogue, generators)
    return {"n_items": len(catalogue), "n_generators": len(generators), "fingerprint": meta.fingerprint}


def catalogue_of(tables: CanonicalTables, as_of: datetime, settings: ContentVectorSettings, seed: int) -> Catalogue:
    """The items; what their texts are about is learnt from those that were there before as_of."""
    return Catalogue.from_items(tables.items, content_vectors(tables.items, as_of, settings, seed))


def check_own_code_is_named(own: Sequence[str]) -> None:
    """Refuse classes of the project's own that dvc.yaml does not name: an edit of them would run nothing again."""
    if not own or not GRAPH.is_file():
        return
    files = set(own_code(Path.cwd(), own))
    unnamed = sorted(files - set(dependencies_of_stage(GRAPH.read_text(encoding="utf-8"), "candidates")))
    if unnamed:
        raise WorkspaceError(
            f"{GRAPH} does not name {', '.join(unnamed)} under `candidates`, which candidates.own makes it run.",
            "Run `make dependencies`, and the same command again.",
        )


if __name__ == "__main__":
    run_matrix_stage("candidates", Params, run)
