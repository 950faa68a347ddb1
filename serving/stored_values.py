"""What the online store holds of one person or item, as a request to the release in production finds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contracts.events import EVENT_TYPE_OF
from contracts.features import FeatureSchema, FeatureSpec, History, ReadRows
from contracts.home import Home
from contracts.id_map import IdMap
from contracts.ids import ItemId, UserId
from contracts.settings.settings import Settings
from feature_store.online.packing import moment_of
from feature_store.readers.live_features import LIVE_NAMES, whole_history, with_live_features
from serving.current_release import served_now

LAST_EVENTS = 10


@dataclass(frozen=True)
class StoredValues:
    """One row, read at `now`. history: None for an item; item_ids: of the release that reads."""

    entity_id: str
    release_id: str
    generation_id: str
    now: datetime
    schema: FeatureSchema
    rows: ReadRows
    history: History | None
    item_ids: IdMap

    def to_json(self) -> dict[str, Any]:
        """As it is printed.

        `state` of a feature: `value` as it was published, `live` as of now, `missing` or `expired` where its default
        stands in.
        """
        known = bool(self.rows.known[0])
        written = moment_of(int(self.rows.written[0])) if known else None
        age = None if written is None else self.now - written
        return {
            "entity": str(self.schema.entity),
            "id": self.entity_id,
            "release_id": self.release_id,
            "generation_id": self.generation_id,
            "now": self.now.isoformat(timespec="seconds"),
            "known": known,
            "written": written and written.isoformat(),
            "age_days": None if age is None else age / timedelta(days=1),
            "features": [
                {
                    "feature": spec.name,
                    "value": float(value),
                    "state": _value_state(spec, bool(missing), age),
                    "ttl_days": spec.ttl_days,
                }
                for spec, value, missing in zip(
                    self.schema.features, self.rows.values[0], self.rows.missing[0], strict=True
                )
            ],
            "history": None if self.history is None else _history_fields(self.history, self.item_ids),
        }


def read_stored_values(home: Home, settings: Settings, *, user_id: str | None, item_id: str | None) -> StoredValues:
    """The row of a person, or where none is named of an item, in the generation that the pointer names.

    Raises StoreError when nothing is in production, or Redis is away.
    """
    with served_now(home, settings) as served:
        release, reader, now = served.release, served.reader, served.clock.now()
        if user_id is not None:
            entity_id, schema = user_id, release.schemas.user
            person = with_live_features(reader.read_person(UserId(user_id), None, now), schema, now)
            rows, history = person.features, whole_history(person).standing
        else:
            entity_id, schema, history = str(item_id), release.schemas.item, None
            rows = reader.read_items([ItemId(entity_id)], now)
    names = served.release_id, served.generation_id
    return StoredValues(entity_id, *names, now, schema, rows, history, release.catalogue.ids)


def _value_state(spec: FeatureSpec, missing: bool, age: timedelta | None) -> str:
    if not missing:
        return "live" if spec.name in LIVE_NAMES else "value"
    return "expired" if age is not None and age > timedelta(days=spec.ttl_days) else "missing"


def _history_fields(history: History, item_ids: IdMap) -> dict[str, Any]:
    last = history.where(slice(-LAST_EVENTS, None))
    return {
        "n_events": len(history),
        "n_left_out": max(0, len(history) - LAST_EVENTS),
        "last": [
            {
                "event_ts": moment_of(int(seconds)).isoformat(),
                "item_id": item_id,
                "event_type": EVENT_TYPE_OF.get(code),
                "value": None if math.isnan(value) else float(value),
            }
            for item_id, seconds, code, value in zip(
                item_ids.external(last.item_idx), last.event_ts, last.event_types.tolist(), last.values, strict=True
            )
        ],
    }
