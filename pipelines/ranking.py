"""Stage `ranking`: train the ranker on what the generators would have proposed before the labels happened.

data/valid, data/features, models/candidates/<cutoff> -> models/ranking/<cutoff>/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from contracts.features import Entity, FeatureRows, FeatureSchema, History, RecentEvents
from contracts.progress import Progress
from contracts.settings.candidates import CandidateSettings
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.settings.ranking import RankingSettings
from contracts.settings.request import RequestSettings
from contracts.tables import CanonicalTables, read_parquet
from feature_store.readers.live_features import with_live_features
from feature_store.readers.ttl_and_defaults import unknown_person
from feature_store.values.values import FeatureSchemas, load_schemas
from pipelines.matrix_run import emptied, load_split, run_matrix_stage
from pipelines.paths import CANDIDATES, FEATURES, RANKING, VALID, Cutoff, feature_training
from recommender.catalogue import Catalogue
from recommender.exclusion import ExclusionRule
from recommender.generators.base import Generator
from recommender.generators.sets import GeneratorSet, fit_generators, load_generators
from recommender.ranking.feature_tables import PointInTimeRows
from recommender.ranking.ranker import Ranker
from recommender.ranking.ranker_report import write_ranker_report
from recommender.ranking.training_rows import RankingInputs, build_ranking_rows
from recommender.segments import segments_of_users


class Params(Group):
    """What the stage reads of params.yaml."""

    candidates: CandidateSettings
    features: FeatureSettings
    ranking: RankingSettings
    request: RequestSettings
    seed: Seed


def run(settings: Params, cutoff: Cutoff) -> dict[str, Any]:
    """Write the ranker and its report; returns the sizes of what it learnt from."""
    generators, schemas = load_generators(CANDIDATES / cutoff), load_schemas(FEATURES)
    inputs = ranking_inputs(settings, CanonicalTables.load(VALID, impressions=False), generators, schemas)
    rows = build_ranking_rows(
        inputs, load_split().label_windows(cutoff), partial(Progress, desc=f"ranking@{cutoff}", unit="snapshot")
    )
    print(f"ranking@{cutoff}: learning from {len(rows.labels):,} rows of {len(rows.group_sizes):,} queries", flush=True)
    built_with = {"generators": generators.fingerprint, "feature schemas": schemas.fingerprint}
    ranker = Ranker.fit(rows, settings.ranking, settings.seed, built_with)
    folder = emptied(RANKING / cutoff)
    write_ranker_report(folder, ranker)
    ranker.save(folder)
    return {
        "n_queries": len(rows.group_sizes),
        "n_rows": len(rows.labels),
        "n_positives": int(rows.labels.sum()),
        "n_trees": ranker.n_trees,
    }


def ranking_inputs(
    settings: Params, tables: CanonicalTables, generators: GeneratorSet, schemas: FeatureSchemas
) -> RankingInputs:
    """What the training rows are made of; the generators shipped only lend their catalogue, never their knowledge."""
    return RankingInputs(
        tables=tables,
        catalogue=generators.catalogue,
        users=PointInTimeRows(read_parquet(feature_training() / f"{Entity.USER}.parquet"), schemas.user),
        items=PointInTimeRows(read_parquet(feature_training() / f"{Entity.ITEM}.parquet"), schemas.item),
        schemas=schemas,
        segments=segments_of_users(tables.users),
        fit_generators=partial(_fit_before, settings, tables, generators.catalogue),
        cold_start_row=partial(cold_start_row, schemas.user),
        quotas=settings.request.quotas,
        n_ranked=settings.request.n_ranked,
        history_length=settings.features.history_length,
        excluding=ExclusionRule.of(settings.request.excluding_events, settings.request.excluded_days),
        max_queries=settings.ranking.max_queries,
    )


def _fit_before(
    settings: Params, tables: CanonicalTables, catalogue: Catalogue, moment: datetime
) -> Mapping[str, Generator]:
    return fit_generators(tables, catalogue, moment, settings.candidates, settings.seed)


def cold_start_row(schema: FeatureSchema, done: History, now: datetime) -> FeatureRows:
    """The row that a request reads of a person without a published one, whose recent events these are."""
    person = replace(unknown_person(schema), recent=RecentEvents.of(done))
    return with_live_features(person, schema, now).features


if __name__ == "__main__":
    run_matrix_stage("ranking", Params, run)
