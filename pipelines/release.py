"""Stage `release`: put everything that answers a request into one immutable bundle.

data/valid, data/features, models, reports -> build/release/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.fingerprint import fingerprint_file
from contracts.settings.identity_params import ReleasedSettings
from contracts.tables import SCHEMAS, CanonicalTables
from pipelines.evaluate import fit_of
from pipelines.matrix_run import load_split
from pipelines.paths import BUNDLE, EVALUATION, FEATURES, VALID, VALIDATION_RESULT, Cutoff, feature_values
from pipelines.placements import compiled_placements
from pipelines.stage_run import run_stage
from recommender.generators.sets import load_generators
from release.bundle.code_version import code_fingerprint
from release.bundle_build import Ingredients, build_bundle
from release.evaluation.cases import known_contexts


def run(settings: ReleasedSettings) -> dict[str, Any]:
    """Build the bundle; returns its names and size."""
    split, contexts = load_split(), known_contexts(CanonicalTables.load(VALID, impressions=False).users)
    request = compiled_placements(settings.request, load_generators(fit_of(Cutoff.ALL).candidates))
    built = build_bundle(
        BUNDLE,
        Ingredients(
            settings=settings.model_copy(update={"request": request}),
            shipped=fit_of(Cutoff.ALL),
            measured=fit_of(Cutoff.TEST),
            schemas=FEATURES,
            values=feature_values(Cutoff.ALL),
            measured_values=feature_values(Cutoff.TEST),
            evaluation=EVALUATION,
            validation=VALIDATION_RESULT,
            test_start=split.test_start,
            as_of=split.as_of,
            contexts=[contexts[user_id] for user_id in sorted(contexts)],
            data={name: fingerprint_file(VALID / f"{name}.parquet") for name in SCHEMAS},
            code=code_fingerprint(Path.cwd()),
        ),
    )
    print(f"Release {built.release_id}, generation {built.generation_id}, as of {built.as_of.isoformat()}")
    return {"release_id": built.release_id, "generation_id": built.generation_id}


if __name__ == "__main__":
    run_stage("release", ReleasedSettings, run)
