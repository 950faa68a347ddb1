"""One window fitted and measured in memory, by the functions that the stages call, on data that ends with it.

Nothing is written. The last window with the seed of params.yaml gives the figures of the stage `evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from contracts.errors import ArtefactError
from contracts.features import Entity
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.offline.offline_store import point_in_time_join, values_as_of
from feature_store.values.values import FeatureSchemas, FeatureValues
from pipelines import evaluate, ranking
from pipelines.candidates import catalogue_of
from pipelines.features import learn_schemas, training_spines
from pipelines.memory_forecast import engine_gib
from pipelines.paths import Cutoff
from recommender.generators.als import AlsGenerator
from recommender.generators.sets import GeneratorSet, fit_generators
from recommender.index.vector_index import VectorIndex
from recommender.ranking.ranker import Ranker
from recommender.ranking.training_rows import build_ranking_rows
from recommender.split import TimeSplit
from release.bundle.bundle import Release
from release.evaluation.evaluation import Evaluation

UNSAVED = "unsaved"  # instead of a fingerprint: what is fitted here is checked against nothing


@dataclass(frozen=True)
class WindowData:
    """What all fits of one window share. tables: up to its end; training: by entity, the features at every snapshot.

    values: as of its start.
    """

    split: TimeSplit
    tables: CanonicalTables
    training: Mapping[Entity, pl.DataFrame]
    schemas: FeatureSchemas
    values: FeatureValues


def window_data(settings: Settings, tables: CanonicalTables, split: TimeSplit) -> WindowData:
    """The features of a window, by the parameters `features`."""
    known = tables_until_end(tables, split)
    engine, memory_gib = settings.features.engine, engine_gib()
    training = {
        entity: point_in_time_join(
            pl.concat(training_spines(known, split, entity)), known, entity, engine=engine, memory_gib=memory_gib
        )
        for entity in Entity
    }
    schemas, length = learn_schemas(training, split), settings.features.history_length
    values = values_as_of(known, split.test_start, length, engine=engine, memory_gib=memory_gib)
    return WindowData(split, known, training, schemas, values.of(schemas))


def measured_on(settings: Settings, data: WindowData, seed: int) -> Evaluation:
    """Fit generators and ranker on what lies before the window, and ask about everybody in it. seed: of the fits."""
    return measured_release(settings, data, fit_release(settings, data, seed))


def measured_release(settings: Settings, data: WindowData, release: Release) -> Evaluation:
    """Ask a release of `fit_release` about everybody in its window.

    Whom many people are drawn from, and what is measured, depends on `settings.seed` alone.
    """
    asked = evaluate.Params(evaluate=settings.evaluate, request=settings.request, seed=settings.seed)
    return evaluate.measure(release, data.tables, data.values, asked, iter).evaluation


def fit_release(settings: Settings, data: WindowData, seed: int) -> Release:
    """Generators and ranker, fitted on what lies before the window."""
    start = data.split.test_start
    catalogue = catalogue_of(data.tables, start, seed)
    by_name = fit_generators(data.tables, catalogue, start, settings.candidates, seed)
    generators, als = GeneratorSet(catalogue, by_name, UNSAVED), by_name["als"]
    if not isinstance(als, AlsGenerator):
        raise ArtefactError("The generators have no ALS to index.", "Look at recommender/generators/sets.py.")
    index = VectorIndex.build(als.item_factors, catalogue.ids, settings.index)
    fitted = ranking.Params(
        candidates=settings.candidates,
        features=settings.features,
        ranking=settings.ranking,
        request=settings.request,
        seed=seed,
    )
    inputs = ranking.ranking_inputs(fitted, data.tables, [(start, catalogue)], data.schemas, data.training)
    rows = build_ranking_rows(inputs, data.split.label_windows(Cutoff.TEST))
    ranker = Ranker.fit(rows, settings.ranking, seed, {})
    return Release.of_fit(generators, index, ranker, data.schemas, settings.request, start, data.values.generation_id)


def tables_until_end(tables: CanonicalTables, split: TimeSplit) -> CanonicalTables:
    """What an export would hold that was made at the end of the window; people are known whenever they come."""
    known = tables.interactions.filter(pl.col("event_ts") < split.as_of)
    if known.height == tables.interactions.height:
        return tables  # the last window: as the stages have them
    is_known = pl.col("created_ts").is_null() | (pl.col("created_ts") < split.as_of)
    return replace(tables, interactions=known, items=tables.items.filter(is_known))
