"""Feature values restricted to the items that a release knows: what fresher data says of its catalogue, no more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from contracts.features import Entity
from contracts.id_map import IdMap
from feature_store.values.histories import histories_of_items
from feature_store.values.values import FeatureValues


@dataclass(frozen=True)
class RestrictedValues:
    """values: of exactly the items asked for. new_items, absent_items: ids left out, and ids the values did not have.

    n_events_left_out: events of histories that were of new items.
    """

    values: FeatureValues
    new_items: tuple[str, ...]
    absent_items: tuple[str, ...]
    n_events_left_out: int


def restrict_to_items(values: FeatureValues, item_ids: IdMap) -> RestrictedValues:
    """The values with a row for each item of the map, all missing where there was none, and histories of them alone."""
    own_ids = values.ids(Entity.ITEM)
    new = tuple(item_id for item_id in own_ids if item_id not in item_ids)
    absent = tuple(sorted(set(item_ids.ids).difference(own_ids)))
    known = pl.Series("item_id", list(item_ids.ids), dtype=pl.String)
    items = values.items.filter(pl.col("item_id").is_in(known.implode()))
    missing_rows = pl.DataFrame({"item_id": absent}, schema={"item_id": pl.String})
    items = pl.concat([items, missing_rows], how="diagonal")
    histories = histories_of_items(values.histories, item_ids)
    n_left_out = _n_events(values.histories) - _n_events(histories)
    return RestrictedValues(replace(values, items=items, histories=histories), new, absent, n_left_out)


def _n_events(histories: pl.DataFrame) -> int:
    return int(histories["item_ids"].list.len().sum())
