"""Stage `evaluate`: ask the request path what it would have shown in the test window, and judge the slates.

data/valid, data/features, models/*/test -> reports/evaluation/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from contracts.features import FeatureReader
from contracts.ids import FloatArray
from contracts.progress import Progress
from contracts.settings.evaluate import EvaluateSettings
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.settings.placement_names import HOME
from contracts.settings.request import RequestSettings
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues, load_schemas
from pipelines.matrix_run import emptied, load_split
from pipelines.paths import CANDIDATES, EVALUATION, FEATURES, INDEX, RANKING, VALID, Cutoff, feature_values
from pipelines.placements import compiled_placements
from pipelines.stage_run import run_stage
from recommender.exclusion import ExclusionRule
from recommender.generators.sets import load_generators
from release.bundle.bundle import FittedArtefacts, Release, measured_with
from release.bundle.headline import headline_sentence
from release.evaluation.cases import WARM, EvaluationCase, build_cases, known_days_before, popularity_before
from release.evaluation.diversity_curve import diversity_curve, write_diversity_curve
from release.evaluation.evaluation import Evaluation, evaluate
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.measured_window import save_cases
from release.evaluation.page import write_page
from release.evaluation.report import Tracing, write_report
from release.evaluation.stage_summary import ItemBands
from release.evaluation.summary import Bootstrap, idle_best_generator, rules_beside_quotas


class Params(Group):
    """What the stage reads of params.yaml."""

    evaluate: EvaluateSettings
    request: RequestSettings
    seed: Seed


def run(settings: Params) -> dict[str, Any]:
    """Write the reports, and the questions that were asked; returns the headline."""
    tables, split = CanonicalTables.load(VALID, impressions=False), load_split()
    values, schemas = FeatureValues.load(feature_values(Cutoff.TEST)), load_schemas(FEATURES)
    request = compiled_placements(settings.request, load_generators(fit_of(Cutoff.TEST).candidates))
    settings = settings.model_copy(update={"request": request})
    release = Release.assemble(fit_of(Cutoff.TEST), schemas, request, split.test_start, values.generation_id)
    measured = measure(release, tables, values, settings, partial(Progress, desc="evaluate", unit="person"))
    evaluation, item_ids, popularity = measured.evaluation, release.catalogue.ids, measured.popularity
    save_cases(emptied(EVALUATION), measured.groups, item_ids, popularity)
    bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
    window = (split.test_start, split.as_of)
    built_with = measured_with(fit_of(Cutoff.TEST), schemas, settings.request)
    metric = f"ndcg_at_{settings.evaluate.cutoffs[0]}"
    idle = idle_best_generator(evaluation, settings.request.quotas, metric)
    notes = [note for note in (idle, rules_beside_quotas(request.all_placements[HOME])) if note]
    bands = ItemBands.of(popularity, known_days_before(tables, item_ids, split.test_start))
    tracing = Tracing(bands, settings.request.quotas)
    summary = write_report(EVALUATION, evaluation, bootstrap, metric, window, built_with, notes, tracing)
    curve = diversity_curve(release, measured.reader, measured.groups[WARM], measured.judge, bootstrap)
    write_diversity_curve(curve, EVALUATION)
    write_page(EVALUATION, fit_of(Cutoff.TEST).ranking)
    for note in notes:
        print(f"note: {note}")
    print(headline_sentence(summary["headline"]), flush=True)
    return {"headline": summary["headline"]}


@dataclass(frozen=True)
class Measured:
    """An evaluation, the questions by group that were asked, and what they were asked and judged with.

    popularity: (n_items,) how popular each item was before the window.
    """

    evaluation: Evaluation
    groups: Mapping[str, Sequence[EvaluationCase]]
    popularity: FloatArray
    reader: FeatureReader
    judge: Judge


def measure(
    release: Release,
    tables: CanonicalTables,
    values: FeatureValues,
    settings: Params,
    progress: Callable[[Iterable[EvaluationCase]], Iterable[EvaluationCase]],
) -> Measured:
    """Ask a release about everybody in the tables from its end on. values: as of that end."""
    item_ids, cutoffs = release.catalogue.ids, tuple(settings.evaluate.cutoffs)
    popularity = popularity_before(tables, item_ids, release.as_of)
    judge = Judge(cutoffs, item_ids, popularity, category_vectors(release.catalogue))
    rng = np.random.default_rng(settings.seed)
    max_people = settings.evaluate.max_people
    excluding = ExclusionRule.of(settings.request.excluding_events, settings.request.excluded_days)
    groups = build_cases(tables, item_ids, release.as_of, max(cutoffs), max_people, rng, excluding)
    reader = OfflineFeatureReader(values, release.schemas, item_ids)
    return Measured(evaluate(release, reader, groups, judge, progress), groups, popularity, reader, judge)


def fit_of(cutoff: Cutoff) -> FittedArtefacts:
    """Where the artefacts of a cutoff lie."""
    return FittedArtefacts(CANDIDATES / cutoff, INDEX / cutoff, RANKING / cutoff)


if __name__ == "__main__":
    run_stage("evaluate", Params, run)
