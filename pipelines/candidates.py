"""Stage `candidates`: fit the generators on what happened before the cutoff.

data/valid, data/features/split.json -> models/candidates/<cutoff>/
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from contracts.settings.candidates import CandidateSettings
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
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
    tables = CanonicalTables.load(VALID, impressions=False)
    as_of = load_split().end(cutoff)
    catalogue = catalogue_of(tables, as_of, settings.seed)
    generators = fit_generators(tables, catalogue, as_of, settings.candidates, settings.seed)
    meta = save_generators(emptied(CANDIDATES / cutoff), catalogue, generators)
    return {"n_items": len(catalogue), "n_generators": len(generators), "fingerprint": meta.fingerprint}


def catalogue_of(tables: CanonicalTables, as_of: datetime, seed: int) -> Catalogue:
    """The items; what their texts are about is learnt from those that were there before as_of."""
    return Catalogue.from_items(tables.items, content_vectors(tables.items, as_of, seed))


if __name__ == "__main__":
    run_matrix_stage("candidates", Params, run)
