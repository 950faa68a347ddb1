"""Stage `ranking`: train the ranker on what the generators would have proposed before the labels happened.

data/valid, data/features, models/candidates/<cutoff> -> models/ranking/<cutoff>/

One run for both cutoffs: most of their snapshots are the same, and so are the generators and the rows made there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from contracts.features import Entity, FeatureSchema, History, ReadRows, RecentEvents
from contracts.progress import Progress
from contracts.settings.candidates import CandidateSettings
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.settings.group_names import Seed
from contracts.settings.ranking import RankingSettings
from contracts.settings.request import RequestSettings
from contracts.tables import CanonicalTables, scan_parquet
from feature_store.readers.live_features import with_live_features
from feature_store.readers.ttl_and_defaults import unknown_person
from feature_store.values.values import FeatureSchemas, load_schemas
from pipelines.matrix_run import emptied, load_split
from pipelines.paths import CANDIDATES, FEATURES, RANKING, VALID, Cutoff, feature_training
from pipelines.stage_run import run_stage
from recommender.catalogue import Catalogue
from recommender.exclusion import ExclusionRule
from recommender.generators.sets import GeneratorSet, fit_at_each, load_generators
from recommender.ranking.feature_tables import PointInTimeRows
from recommender.ranking.ranker import Ranker, RankingRows
from recommender.ranking.ranker_report import write_ranker_report
from recommender.ranking.training_rows import Fit, RankingInputs, build_rows_of_cutoffs
from recommender.segments import segments_of_users


class Params(Group):
    """What the stage reads of params.yaml."""

    candidates: CandidateSettings
    features: FeatureSettings
    ranking: RankingSettings
    request: RequestSettings
    seed: Seed


def run(settings: Params, cutoffs: Sequence[Cutoff] = tuple(Cutoff)) -> dict[str, Any]:
    """Write the rankers and their reports; returns the sizes of what each learnt from."""
    tables, schemas, split = CanonicalTables.load(VALID, impressions=False), load_schemas(FEATURES), load_split()
    fits = {cutoff: load_generators(CANDIDATES / cutoff) for cutoff in cutoffs}
    windows = {cutoff: split.label_windows(cutoff) for cutoff in cutoffs}
    catalogues = [(split.end(cutoff), fits[cutoff].catalogue) for cutoff in cutoffs]
    inputs = ranking_inputs(settings, tables, catalogues, schemas, scan_training())
    rows = build_rows_of_cutoffs(inputs, windows, partial(Progress, desc="ranking", unit="snapshot"))
    return {cutoff: _train(settings, cutoff, learnt, fits[cutoff], schemas) for cutoff, learnt in rows}


def _train(
    settings: Params, cutoff: Cutoff, rows: RankingRows, generators: GeneratorSet, schemas: FeatureSchemas
) -> dict[str, int]:
    print(f"ranking@{cutoff}: learning from {len(rows.labels):,} rows of {len(rows.group_sizes):,} queries", flush=True)
    built_with = {"generators": generators.fingerprint, "feature schemas": schemas.fingerprint}
    with Progress(desc=f"ranking@{cutoff}", unit="tree", total=2 * settings.ranking.n_trees) as bar:

        def on_tree(n_learnt: int, most: int) -> None:
            bar.total = most
            bar.update(n_learnt - bar.n)

        ranker = Ranker.fit(rows, settings.ranking, settings.seed, built_with, on_tree)
    folder = emptied(RANKING / cutoff)
    write_ranker_report(folder, ranker)
    ranker.save(folder)
    return {
        "n_queries": len(rows.group_sizes),
        "n_rows": len(rows.labels),
        "n_positives": int(rows.labels.sum()),
        "n_trees": ranker.n_trees,
    }


def scan_training() -> dict[Entity, pl.LazyFrame]:
    """By entity, the features at every snapshot, as the stage `features` wrote them."""
    return {entity: scan_parquet(feature_training() / f"{entity}.parquet") for entity in Entity}


def ranking_inputs(
    settings: Params,
    tables: CanonicalTables,
    catalogues: Sequence[tuple[datetime, Catalogue]],
    schemas: FeatureSchemas,
    training: Mapping[Entity, pl.DataFrame | pl.LazyFrame],
) -> RankingInputs:
    """What the training rows are made of; the generators shipped only lend their catalogue, never their knowledge.

    catalogues: with the end of the data that each is of, ascending. A snapshot takes the first one that ends after it.
    training: by entity, the features at every snapshot.
    """
    return RankingInputs(
        tables=tables,
        ids=catalogues[0][1].ids,
        users=PointInTimeRows(training[Entity.USER], schemas.user),
        items=PointInTimeRows(training[Entity.ITEM], schemas.item),
        schemas=schemas,
        segments=segments_of_users(tables.users),
        fit_generators=partial(_fits, settings, tables, catalogues),
        cold_start_row=partial(cold_start_row, schemas.user),
        quotas=settings.request.quotas,
        n_ranked=settings.request.n_ranked,
        history_length=settings.features.history_length,
        excluding=ExclusionRule.of(settings.request.excluding_events, settings.request.excluded_days),
        max_queries=settings.ranking.max_queries,
        segments_of_people=settings.request.segments_of_people,
    )


def _fits(
    settings: Params,
    tables: CanonicalTables,
    catalogues: Sequence[tuple[datetime, Catalogue]],
    moments: Sequence[datetime],
) -> Iterator[Fit]:
    lent = [next(catalogue for end, catalogue in catalogues if moment < end) for moment in moments]
    fits = fit_at_each(tables, list(zip(moments, lent, strict=True)), settings.candidates, settings.seed)
    return zip(lent, fits, strict=True)


def cold_start_row(schema: FeatureSchema, done: History, now: datetime) -> ReadRows:
    """The row that a request reads of a person without a published one, whose recent events these are."""
    person = replace(unknown_person(schema), recent=RecentEvents.of(done))
    return with_live_features(person, schema, now).features


if __name__ == "__main__":
    run_stage("ranking", Params, run)
