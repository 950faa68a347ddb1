"""Stage `features`: what was known of everybody and everything, as of the moments that training and serving ask about.

    data/features/split.json                    the moments of the global time split, and counts
    data/features/training/{user,item}.parquet  features at every snapshot: <entity>_id, as_of, one column per feature
    data/features/schema.json                   names, order, TTL, and what stands for a missing value
    data/features/latest/<cutoff>/              the values as of the cutoff's end (see feature_store.values)

Defaults, and which features say anything, are learnt on the snapshots of cutoff `test` alone: nothing measured later
has seen its own future. The training tables hold every feature, the values those of the schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from contracts.features import Entity
from contracts.json_file import write_json
from contracts.positive_events import positive_events
from contracts.progress import Progress
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.tables import UTC_TIME, CanonicalTables, scan_parquet, write_portions
from feature_store.offline.offline_store import learn_schema, point_in_time_joins, values_as_of
from feature_store.values.values import FeatureSchemas
from pipelines.memory_forecast import engine_gib
from pipelines.paths import FEATURES, VALID, Cutoff, feature_training, feature_values
from pipelines.stage_run import run_stage
from recommender.split import TimeSplit, time_split

SPLIT = FEATURES / "split.json"


class Params(Group):
    """What the stage reads of params.yaml."""

    features: FeatureSettings


def run(settings: Params) -> dict[str, Any]:
    """Write everything named above; returns the counts."""
    tables = CanonicalTables.load(VALID, impressions=False)
    split = time_split(tables.interactions, settings.features)
    engine, memory_gib = settings.features.engine, engine_gib()
    spines = {entity: training_spines(tables, split, entity) for entity in Entity}
    n_tables = sum(map(len, spines.values())) + len(Cutoff)
    n_rows = {}
    with Progress(total=n_tables, desc="features", unit="table") as progress:
        for entity, asked in spines.items():
            joined = point_in_time_joins(asked, tables, entity, engine=engine, memory_gib=memory_gib)
            n_rows[entity] = write_portions(_counted(joined, progress), feature_training() / f"{entity}.parquet")
        training = {entity: scan_parquet(feature_training() / f"{entity}.parquet") for entity in Entity}
        schemas = learn_schemas(training, split)
        schemas.save(FEATURES)
        for cutoff in Cutoff:
            length = settings.features.history_length
            values = values_as_of(tables, split.end(cutoff), length, engine=engine, memory_gib=memory_gib)
            values.of(schemas).save(feature_values(cutoff))
            progress.update()
    counts = {
        "n_interactions": tables.interactions.height,
        **{f"n_{entity}_rows": n_rows[entity] for entity in Entity},
        **{f"n_{entity}_features": len(schemas.of(entity).features) for entity in Entity},
    }
    _save_split(split, counts)
    return counts


def _counted(portions: Iterator[pl.DataFrame], progress: Progress) -> Iterator[pl.DataFrame]:
    for portion in portions:
        yield portion
        progress.update()


def training_spines(tables: CanonicalTables, split: TimeSplit, entity: Entity) -> list[pl.DataFrame]:
    """(<entity>_id, as_of) for every snapshot of every cutoff, the earliest first; each in the order of the ids.

    Items: the whole catalogue. People: whoever did something before the end of the snapshot's label window.
    """
    key, ends = f"{entity}_id", _window_ends(split)
    if entity is Entity.ITEM:
        asked = tables.items.select(key).sort(key)
        return [_at(asked, as_of) for as_of in sorted(ends)]
    first_seen = positive_events(tables.interactions).group_by(key).agg(first=pl.col("event_ts").min()).sort(key)
    return [_at(first_seen.filter(pl.col("first") < ends[as_of]).select(key), as_of) for as_of in sorted(ends)]


def _at(ids: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    return ids.with_columns(as_of=pl.lit(as_of, UTC_TIME))


def _window_ends(split: TimeSplit) -> dict[datetime, datetime]:
    """The end of each snapshot's label window; the later one where two cutoffs share a snapshot."""
    windows = [window for cutoff in Cutoff for window in split.label_windows(cutoff)]
    return {as_of: max(end for other, end in windows if other == as_of) for as_of, _ in windows}


def learn_schemas(training: Mapping[Entity, pl.DataFrame | pl.LazyFrame], split: TimeSplit) -> FeatureSchemas:
    """The features that say anything at the snapshots of cutoff `test`, and their defaults; training: by entity."""
    seen = pl.col("as_of").is_in(pl.Series(split.snapshots[Cutoff.TEST], dtype=UTC_TIME).implode())
    learnt = {entity: learn_schema(rows.filter(seen), entity) for entity, rows in training.items()}
    return FeatureSchemas(user=learnt[Entity.USER], item=learnt[Entity.ITEM])


def _save_split(split: TimeSplit, counts: dict[str, int]) -> None:
    write_json({**split.to_json(), "counts": counts}, SPLIT)


if __name__ == "__main__":
    run_stage("features", Params, run)
