"""One window fitted and measured in memory, by the functions that the stages call, on data that ends with it.

The last window with the seed of params.yaml gives the figures of the stage `evaluate`. Nothing is written but what
`KeptFits` keeps; what comes out of it is what would be fitted, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from contracts.features import Entity
from contracts.settings.group import Group
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables, read_parquet, write_parquet
from feature_store.offline.offline_store import point_in_time_join, values_as_of
from feature_store.values.values import FeatureSchemas, FeatureValues, load_schemas
from pipelines import evaluate, ranking
from pipelines.candidates import catalogue_of
from pipelines.features import learn_schemas, training_spines
from pipelines.index import index_of
from pipelines.memory_forecast import engine_gib
from pipelines.paths import Cutoff
from pipelines.placements import compiled_placements
from pipelines.rolling.kept_fits import FEATURES, GENERATORS, MEASURED, RANKER, ROWS, KeptFits
from pipelines.rolling.kept_rows import load_rows, save_rows
from recommender.generators.base import Generator
from recommender.generators.sets import GeneratorSet, fit_at_each, fit_generators, load_generators, save_generators
from recommender.ranking.ranker import Ranker, RankingRows
from recommender.ranking.training_rows import Fit, build_ranking_rows
from recommender.split import TimeSplit
from release.bundle.bundle import Release
from release.evaluation.evaluation import Evaluation

UNSAVED: Final = "unsaved"  # instead of a fingerprint: what is fitted here is checked against nothing
PER_PERSON: Final = "per_person.parquet"
VALUES: Final = "values"
# Of the request: what the ranker's training rows are made with. The rest is read when people are asked.
OF_ROWS: Final = ("quotas", "n_ranked", "excluding_events", "excluded_days", "segments_of_people")


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


def window_data(
    settings: Settings, tables: CanonicalTables, split: TimeSplit, kept: KeptFits | None = None
) -> WindowData:
    """The features of a window, by the parameters `features`."""
    known = tables_until_end(tables, split)
    training, schemas, values = (kept or KeptFits.nothing()).made(
        FEATURES, _read_by_features(settings, split), _load_features, lambda: _features(settings, known, split),
        _save_features,
    )  # fmt: skip
    return WindowData(split, known, training, schemas, values)


_Features = tuple[Mapping[Entity, pl.DataFrame], FeatureSchemas, FeatureValues]


def _features(settings: Settings, known: CanonicalTables, split: TimeSplit) -> _Features:
    engine, memory_gib = settings.features.engine, engine_gib()
    training = {
        entity: point_in_time_join(
            pl.concat(training_spines(known, split, entity)), known, entity, engine=engine, memory_gib=memory_gib
        )
        for entity in Entity
    }
    schemas, length = learn_schemas(training, split), settings.features.history_length
    values = values_as_of(known, split.test_start, length, engine=engine, memory_gib=memory_gib)
    return training, schemas, values.of(schemas)


def _save_features(features: _Features, folder: Path) -> None:
    training, schemas, values = features
    for entity, rows in training.items():
        write_parquet(rows, folder / f"{entity}.parquet")
    schemas.save(folder)
    values.save(folder / VALUES)


def _load_features(folder: Path) -> _Features:
    training = {entity: read_parquet(folder / f"{entity}.parquet") for entity in Entity}
    return training, load_schemas(folder), FeatureValues.load(folder / VALUES)


def per_person_on(
    settings: Settings, split: TimeSplit, data: Callable[[], WindowData], seed: int, kept: KeptFits
) -> pl.DataFrame:
    """Every metric of everybody in a window, as `measured_on` measures; data: asked for where it has to be measured."""
    return kept.made(
        MEASURED,
        _read_by_all(settings, split, seed),
        lambda folder: read_parquet(folder / PER_PERSON),
        lambda: measured_on(settings, data(), seed, kept).per_person,
        lambda per_person, folder: write_parquet(per_person, folder / PER_PERSON),
    )


def measured_on(settings: Settings, data: WindowData, seed: int, kept: KeptFits | None = None) -> Evaluation:
    """Fit generators and ranker on what lies before the window, and ask about everybody in it. seed: of the fits."""
    return measured_release(settings, data, fit_release(settings, data, seed, kept))


def measured_release(settings: Settings, data: WindowData, release: Release) -> Evaluation:
    """Ask a release of `fit_release` about everybody in its window.

    Whom many people are drawn from, and what is measured, depends on `settings.seed` alone.
    """
    asked = evaluate.Params(evaluate=settings.evaluate, request=settings.request, seed=settings.seed)
    return evaluate.measure(release, data.tables, data.values, asked, iter).evaluation


def fit_release(settings: Settings, data: WindowData, seed: int, kept: KeptFits | None = None) -> Release:
    """Generators and ranker, fitted on what lies before the window. kept: what was fitted before."""
    return _WindowFit(settings, data, seed, kept or KeptFits.nothing()).release()


@dataclass(frozen=True)
class _WindowFit:
    """The steps of one fit on one window."""

    settings: Settings
    data: WindowData
    seed: int
    kept: KeptFits

    def release(self) -> Release:
        generators, known = self._generators, self.data.tables.interactions
        index = index_of(generators, known, self._start, self.settings.index, self.seed)
        request, generation_id = compiled_placements(self.settings.request, generators), self.data.values.generation_id
        return Release.of_fit(generators, index, self._ranker(), self.data.schemas, request, self._start, generation_id)

    @property
    def _start(self) -> datetime:
        return self.data.split.test_start

    @cached_property
    def _generators(self) -> GeneratorSet:
        """Those that propose in the window, and the catalogue that all share."""

        def fitted() -> GeneratorSet:
            settings, data = self.settings.candidates, self.data
            catalogue = catalogue_of(data.tables, self._start, settings.content_vectors, self.seed)
            by_name = fit_generators(data.tables, catalogue, self._start, settings, self.seed)
            return GeneratorSet(catalogue, by_name, UNSAVED)

        return self.kept.made(GENERATORS, self._read_by_generators(self._start), load_generators, fitted, _save_set)

    def _ranker(self) -> Ranker:
        read = _read_by_rows(self.settings, self.data.split, self.seed) | {"ranking": _json(self.settings.ranking)}

        def fitted() -> Ranker:
            return Ranker.fit(self._rows(), self.settings.ranking, self.seed, {})

        return self.kept.made(RANKER, read, Ranker.load, fitted, lambda ranker, folder: ranker.save(folder))

    def _rows(self) -> RankingRows:
        read = _read_by_rows(self.settings, self.data.split, self.seed)
        return self.kept.made(ROWS, read, load_rows, self._built_rows, save_rows)

    def _built_rows(self) -> RankingRows:
        settings, data = self.settings, self.data
        read = ranking.Params(
            candidates=settings.candidates,
            features=settings.features,
            ranking=settings.ranking,
            request=settings.request,
            seed=self.seed,
        )
        catalogues = [(self._start, self._generators.catalogue)]
        inputs = ranking.ranking_inputs(read, data.tables, catalogues, data.schemas, data.training)
        inputs = replace(inputs, fit_generators=self._fits_at)
        return build_ranking_rows(inputs, data.split.label_windows(Cutoff.TEST))

    def _fits_at(self, moments: Sequence[datetime]) -> Iterator[Fit]:
        """The generators as of each snapshot, as they were kept; those that were not are fitted together."""
        catalogue, data = self._generators.catalogue, self.data
        missing = [moment for moment in moments if not self.kept.has(GENERATORS, self._read_by_generators(moment))]
        asked = [(moment, catalogue) for moment in missing]
        fitted = fit_at_each(data.tables, asked, self.settings.candidates, self.seed)
        for moment in moments:
            make = partial(self._fit_at, moment, fitted if moment in missing else None)
            read = self._read_by_generators(moment)
            yield catalogue, self.kept.made(GENERATORS, read, load_generators, make, _save_set).by_name

    def _fit_at(self, moment: datetime, fitted: Iterator[Mapping[str, Generator]] | None) -> GeneratorSet:
        """The next of those that are fitted together; by itself, what was kept a moment ago and is no more."""
        catalogue, candidates = self._generators.catalogue, self.settings.candidates
        by_name = (
            next(fitted)
            if fitted is not None
            else fit_generators(self.data.tables, catalogue, moment, candidates, self.seed)
        )
        return GeneratorSet(catalogue, by_name, UNSAVED)

    def _read_by_generators(self, moment: datetime) -> dict[str, Any]:
        return {
            "candidates": _json(self.settings.candidates),
            "seed": self.seed,
            "catalogue_as_of": self._start.isoformat(),
            "window_end": self.data.split.as_of.isoformat(),
            "as_of": moment.isoformat(),
        }


def _save_set(generators: GeneratorSet, folder: Path) -> None:
    save_generators(folder, generators.catalogue, generators.by_name)


def _read_by_features(settings: Settings, split: TimeSplit) -> dict[str, Any]:
    return {"features": _json(settings.features), "split": split.to_json()}


def _read_by_rows(settings: Settings, split: TimeSplit, seed: int) -> dict[str, Any]:
    request = _json(settings.request)
    return {
        **_read_by_features(settings, split),
        "candidates": _json(settings.candidates),
        "request": {name: request[name] for name in OF_ROWS},
        "max_queries": settings.ranking.max_queries,
        "seed": seed,
    }


def _read_by_all(settings: Settings, split: TimeSplit, seed: int) -> dict[str, Any]:
    groups = ("candidates", "index", "ranking", "request", "evaluate")
    return {
        **_read_by_features(settings, split),
        **{name: _json(getattr(settings, name)) for name in groups},
        "seed": seed,
        "asking_seed": settings.seed,
    }


def _json(group: Group) -> dict[str, Any]:
    return group.model_dump(mode="json")


def tables_until_end(tables: CanonicalTables, split: TimeSplit) -> CanonicalTables:
    """What an export would hold that was made at the end of the window; people are known whenever they come."""
    known = tables.interactions.filter(pl.col("event_ts") < split.as_of)
    if known.height == tables.interactions.height:
        return tables  # the last window: as the stages have them
    is_known = pl.col("created_ts").is_null() | (pl.col("created_ts") < split.as_of)
    return replace(tables, interactions=known, items=tables.items.filter(is_known))
