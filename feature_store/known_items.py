"""Feature values cut to the items that a release knows: what fresher data says of its catalogue, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from contracts.features import Entity
from contracts.id_map import IdMap
from feature_store.values import FeatureValues


@dataclass(frozen=True)
class Cut:
    """values: of exactly the items asked for. new_items, absent_items: ids left out, and ids the values did not have.

    n_events: events of histories that were of new items.
    """

    values: FeatureValues
    new_items: tuple[str, ...]
    absent_items: tuple[str, ...]
    n_events: int


def cut_to_items(values: FeatureValues, item_ids: IdMap) -> Cut:
    """The values with a row for each item of the map, all missing where there was none, and histories of them alone."""
    found = values.ids(Entity.ITEM)
    new = tuple(item_id for item_id in found if item_id not in item_ids)
    absent = tuple(sorted(set(item_ids.ids).difference(found)))
    known = pl.Series("item_id", item_ids.ids, dtype=pl.String)
    items = values.items.filter(pl.col("item_id").is_in(known.implode()))
    nothing_known = pl.DataFrame({"item_id": absent}, schema={"item_id": pl.String})
    items = pl.concat([items, nothing_known], how="diagonal")
    histories = _histories(values.histories, known)
    n_events = _n_events(values.histories) - _n_events(histories)
    return Cut(replace(values, items=items, histories=histories), new, absent, n_events)


def _histories(histories: pl.DataFrame, known: pl.Series) -> pl.DataFrame:
    """Everybody's events of known items, in their order; whoever has none left keeps an empty history."""
    events = histories.explode("item_ids", "event_ts", "values", empty_as_null=False)
    kept = events.filter(pl.col("item_ids").is_in(known.implode())).group_by("user_id", maintain_order=True).all()
    empty = histories.select("user_id").join(kept, on="user_id", how="anti")
    return pl.concat([kept, empty.with_columns(item_ids=[], event_ts=[], values=[])], how="vertical_relaxed")


def _n_events(histories: pl.DataFrame) -> int:
    return int(histories["item_ids"].list.len().sum())
