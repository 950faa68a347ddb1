"""The offline store: feature values of any entity as of any moment, computed by Ibis on DuckDB or Spark.

`as_of - reach <= event_ts < as_of`, strictly before: what happens at as_of itself is not known at as_of. A purchase
that was taken back strictly before as_of does not count (`contracts.returns`). No feature depends on the order of
events of the same microsecond; histories order them by item, then by kind of event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import polars as pl

from contracts.errors import ShapeMismatch
from contracts.features import Entity, FeatureSchema, FeatureSpec
from contracts.positive_events import positive_events
from contracts.returns import TAKEN_BACK_TS, with_taken_back_ts
from contracts.tables import UTC_TIME, CanonicalTables, type_codes
from feature_store.definitions import features_of, views_of
from feature_store.definitions.views import Feature, FeatureView, Rows, Source
from feature_store.offline.engines import EngineName, FeatureEngine, open_engine
from feature_store.offline.events import event_columns, thousandths
from feature_store.offline.in_memory_aggregations import InMemoryAggregations
from feature_store.values.value_source import EVENT_TYPES, OLDER, OLDER_EVENT_TS, OLDER_EVENT_TYPES, OLDER_ITEM_IDS
from feature_store.values.values import HISTORY_SCHEMA, FeatureValues

JOINED_TOGETHER = 2_000_000  # rows and events: some 100 MiB, and less than a second of the engine

_STANDS = pl.col(TAKEN_BACK_TS).is_null()


def point_in_time_join(
    spine: pl.DataFrame,
    tables: CanonicalTables,
    entity: Entity,
    n_threads: int | None = None,
    engine: EngineName = "duckdb",
    memory_gib: float | None = None,
) -> pl.DataFrame:
    """The spine with every feature of the entity as it was known at each row's as_of.

    spine: `<entity>_id`, `as_of` (UTC) and whatever else; its rows, their number, order and duplicates are kept.
    n_threads: of the engine, None for all cores; memory_gib: past which it goes on from disk, None for most of the
    machine's; values depend on neither. engine: what computes, see `engines`.
    Returns f32 columns in the schema's order; null where missing.

    What happens at as_of itself is not known at as_of:

    >>> from datetime import UTC
    >>> from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA
    >>> first, second, third = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    >>> views = [("ada", "dune", "view", moment, None, None, None) for moment in (first, second)]
    >>> interactions = pl.DataFrame(views, INTERACTIONS_SCHEMA, orient="row")
    >>> tables = CanonicalTables(interactions, pl.DataFrame(schema=ITEMS_SCHEMA), pl.DataFrame(schema=USERS_SCHEMA))
    >>> spine = pl.DataFrame({"user_id": ["ada", "ada"], "as_of": [second, third]})
    >>> point_in_time_join(spine, tables, Entity.USER)["user_event_count_7d"].to_list()
    [1.0, 2.0]
    """
    (joined,) = point_in_time_joins([spine], tables, entity, n_threads, engine, memory_gib)
    return joined


def point_in_time_joins(
    spines: Sequence[pl.DataFrame],
    tables: CanonicalTables,
    entity: Entity,
    n_threads: int | None = None,
    engine: EngineName = "duckdb",
    memory_gib: float | None = None,
) -> Iterator[pl.DataFrame]:
    """`point_in_time_join` of each of the spines; memory holds the features of a large one, or of some small ones."""
    ids = pl.concat([spine[f"{entity}_id"].cast(pl.String) for spine in spines]).unique()
    with open_engine(engine, n_threads, memory_gib) as opened:
        known = _EngineTables(tables, ids, entity, opened)
        for together in _joined_together(spines, tables.interactions.height):
            joined = _joined(pl.concat(together), known, entity)
            yield from _cut(joined, [spine.height for spine in together])


def _joined_together(spines: Sequence[pl.DataFrame], n_events: int) -> list[list[pl.DataFrame]]:
    """The spines in their order, those together whose work is small beside that of writing and planning a query."""
    groups: list[list[pl.DataFrame]] = []
    met = JOINED_TOGETHER + 1  # rows of the spines of a group, and of the events that each of them meets
    for spine in spines:
        own = spine.height + n_events
        if met + own > JOINED_TOGETHER:
            groups.append([])
            met = 0
        groups[-1].append(spine)
        met += own
    return groups


def _cut(rows: pl.DataFrame, lengths: Sequence[int]) -> Iterator[pl.DataFrame]:
    start = 0
    for length in lengths:
        yield rows[start : start + length]
        start += length


def _joined(spine: pl.DataFrame, known: _EngineTables, entity: Entity) -> pl.DataFrame:
    ids = spine[f"{entity}_id"].cast(pl.String)
    joined = keys = pl.DataFrame({"entity_id": ids, "as_of_us": _microseconds(spine["as_of"])})
    asked = known.at(keys.unique())
    for view in views_of(entity):
        joined = joined.join(asked.compute(view), on=keys.columns, how="left", maintain_order="left")
    if joined.height != spine.height:
        raise ShapeMismatch(
            f"The join made {joined.height} rows of {spine.height}: a view gives more than one row per key.",
            f"Mend the {entity} views in feature_store/definitions.",
        )
    return spine.hstack(joined.select(_feature_column(feature) for feature, _ in features_of(entity)))


def learn_schema(training: pl.DataFrame | pl.LazyFrame, entity: Entity) -> FeatureSchema:
    """The entity's schema with its defaults: what a feature is when empty (0 for counts), else the median of training.

    A feature that training says nothing of is left out: it is missing, or as when empty, in every row (a shop's prices
    in films), or it rests on one that is.
    """
    declared, rows = features_of(entity), training.lazy()
    silent, defaults = set(), {}
    for feature, _ in declared:  # one column at a time, for there may be many rows
        values = rows.select(feature.name).collect()[feature.name]
        if _says_nothing(feature, values):
            silent.add(feature.name)
        else:
            defaults[feature.name] = _learnt_default(feature, values)
    known = [(feature, view) for feature, view in declared if not {feature.name, feature.rests_on} & silent]
    specs = (FeatureSpec(feature.name, defaults[feature.name], view.ttl / timedelta(days=1)) for feature, view in known)
    return FeatureSchema(entity, tuple(specs))


def _says_nothing(feature: Feature, values: pl.Series) -> bool:
    return not (values.is_not_null() & values.ne_missing(feature.when_empty)).any()


def _learnt_default(feature: Feature, values: pl.Series) -> float:
    median = values.median() if feature.when_empty is None else feature.when_empty
    return float(median)  # type: ignore[arg-type]  # the median of numbers, and one at least is there


def values_as_of(
    tables: CanonicalTables,
    as_of: datetime,
    history_length: int,
    n_threads: int | None = None,
    engine: EngineName = "duckdb",
    memory_gib: float | None = None,
) -> FeatureValues:
    """What was known of everybody who did anything before as_of, and of every item of the catalogue.

    history_length: events kept per person, the latest. The others are as in `point_in_time_join`.
    """
    histories = histories_as_of(tables.interactions, as_of, history_length)
    rows = {
        entity: point_in_time_join(
            pl.DataFrame({f"{entity}_id": ids, "as_of": [as_of] * len(ids)}, schema_overrides={"as_of": UTC_TIME}),
            tables,
            entity,
            n_threads,
            engine,
            memory_gib,
        ).drop("as_of")
        for entity, ids in ((Entity.USER, histories["user_id"]), (Entity.ITEM, tables.items["item_id"]))
    }
    return FeatureValues(rows[Entity.USER], rows[Entity.ITEM], histories, as_of)


def _feature_column(feature: Feature) -> pl.Expr:
    column = pl.col(feature.name).cast(pl.Float32)
    return column if feature.when_empty is None else column.fill_null(feature.when_empty)


class _EngineTables:
    """The canonical tables inside the engine. ids: of the entities that are asked about, each once."""

    def __init__(self, tables: CanonicalTables, ids: pl.Series, entity: Entity, engine: FeatureEngine) -> None:
        self.entity = entity
        self.engine = engine
        events = event_columns(with_taken_back_ts(tables.interactions))
        self.aggregated = InMemoryAggregations(events, ids, entity)
        self.has_taken_back = events["taken_back_us"].null_count() < len(events)
        items, users = engine.table(_item_columns(tables.items)), engine.table(_user_columns(tables.users))
        self.attributes = users if entity is Entity.USER else items
        known = events if self.has_taken_back else events.drop("taken_back_us")
        rows = engine.table(known).left_join(items, "item_id").drop("item_id_right")
        self.events = engine.cached(rows.left_join(users, "user_id").drop("user_id_right"))

    def at(self, keys: pl.DataFrame) -> _AskedKeys:
        """The keys (entity_id, as_of_us) to compute features for, each once."""
        return _AskedKeys(self, keys)


class _AskedKeys:
    """Some keys beside the tables that their features are computed from."""

    def __init__(self, known: _EngineTables, keys: pl.DataFrame) -> None:
        self._known = known
        self._keys = known.engine.table(keys)
        moments_us: list[int] = keys["as_of_us"].unique().to_list()
        self._earliest_us, self._latest_us = min(moments_us, default=0), max(moments_us, default=0)
        self._searched = known.aggregated.searched(keys)

    def compute(self, view: FeatureView) -> pl.DataFrame:
        """One row per key that the view has anything for."""
        known = self._known
        if view.aggregations and known.engine.aggregate_in_memory:
            return known.aggregated.compute(view, self._searched)
        rows = self._events_before(view) if view.source is Source.EVENTS else self._attribute_rows()
        return known.engine.compute(view.computed_from(rows))

    def _events_before(self, view: FeatureView) -> Rows:
        reach_us, keys = view.reach_us, self._keys
        every = self._known.events
        # What no key can reach is left out before anything is joined: keys are often of one moment.
        near = every.filter(every.event_us < self._latest_us, every.event_us >= self._earliest_us - reach_us)
        events = near.mutate(entity_id=near[f"{self._known.entity}_id"])
        rows = keys.join(
            events,
            [
                keys.entity_id == events.entity_id,
                events.event_us < keys.as_of_us,
                events.event_us >= keys.as_of_us - reach_us,
            ],
        ).drop("entity_id_right")
        return _standing(rows) if self._known.has_taken_back else rows

    def _attribute_rows(self) -> Rows:
        attributes = self._known.attributes
        return self._keys.join(attributes, self._keys.entity_id == attributes[f"{self._known.entity}_id"])


def _standing(rows: Rows) -> Rows:
    """The events that were not taken back before as_of."""
    return rows.filter(rows.taken_back_us.isnull() | (rows.taken_back_us >= rows.as_of_us)).drop("taken_back_us")


def _item_columns(items: pl.DataFrame) -> pl.DataFrame:
    return items.select(
        "item_id",
        "categories",
        pl.col("release_year").cast(pl.Int64),
        price_milli=thousandths("price"),
        created_us=pl.col("created_ts").dt.epoch("us"),
    )


def _user_columns(users: pl.DataFrame) -> pl.DataFrame:
    return users.select(
        "user_id", pl.col("age").cast(pl.Int64), female=_female(), signup_us=pl.col("signup_ts").dt.epoch("us")
    )


def _female() -> pl.Expr:
    return pl.col("gender").replace_strict({"F": 1, "M": 0}, default=None, return_dtype=pl.Int64)


def _microseconds(times: pl.Series) -> pl.Series:
    return times.cast(UTC_TIME).dt.epoch("us")


def histories_as_of(interactions: pl.DataFrame, as_of: datetime, length: int) -> pl.DataFrame:
    """Everybody's latest events strictly before as_of, at most `length` of each, as `values.HISTORY_SCHEMA`.

    Purchases that were taken back by then are none of them. Beside them stands what else people touched, however long
    ago, and whether it was taken back or not.
    """
    events = positive_events(with_taken_back_ts(interactions.filter(pl.col("event_ts") < as_of)))
    ordered = events.sort("event_ts", "item_id", "event_type")
    kept = (column.filter(_STANDS).tail(length) for column in _history_columns())
    histories = ordered.group_by("user_id").agg(kept)
    older = histories.join(_older_events(ordered, length), on="user_id", how="left")
    return older.with_columns(pl.col(OLDER).fill_null([])).cast(HISTORY_SCHEMA).sort("user_id")


def _history_columns() -> tuple[pl.Expr, ...]:
    return (
        pl.col("item_id").alias("item_ids"),
        pl.col("event_ts").dt.epoch("s"),
        type_codes().alias(EVENT_TYPES),
        pl.col("value").alias("values"),
    )


def _older_events(ordered: pl.DataFrame, length: int) -> pl.DataFrame:
    """Of everybody whose history lacks anything: the last event of each item and type that is not in it."""
    n_standing = _STANDS.cum_sum(reverse=True).over("user_id")  # from each event on
    is_kept = _STANDS & (n_standing <= length)
    more = ordered.select(
        "user_id", "item_id", pl.col("event_ts").dt.epoch("s"), code=type_codes(), is_kept=is_kept
    ).filter((~pl.col("is_kept")).any().over("user_id"))
    last = more.group_by("user_id", "item_id", "code").agg(
        pl.col("event_ts").max(), kept_ts=pl.col("event_ts").filter("is_kept").max()
    )
    return (
        last.filter(pl.col("kept_ts").is_null() | (pl.col("kept_ts") < pl.col("event_ts")))
        .sort("user_id", "item_id", "code")
        .group_by("user_id", maintain_order=True)
        .agg(
            pl.col("item_id").alias(OLDER_ITEM_IDS),
            pl.col("event_ts").alias(OLDER_EVENT_TS),
            pl.col("code").alias(OLDER_EVENT_TYPES),
        )
    )
