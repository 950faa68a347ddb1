"""Logged parity: the values that answers stood on, against the same computed again offline for the same keys and times.

Other than the gate `parity`, which compares the store with the bundle (transport), this compares what the ranker saw
with what the tables say: a feature computed in two ways, a row of another time or a TTL that is not kept shows here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError
from contracts.features import FeatureSchema, ReadRows
from contracts.id_map import IdMap
from contracts.tables import CanonicalTables
from feature_store.offline.recomputation import LoggedEvent, RowKey, expected_histories, expected_rows
from feature_store.online.packing import epoch_seconds, moment_of
from feature_store.values.values import FeatureSchemas
from release.parity.parity_result import FeatureParity, LoggedParity
from release.parity.used_values import UsedRows, UsedValues

HISTORY_LENGTH: Final = "history_length"
HISTORY_END: Final = "history_last_ts"


@dataclass(frozen=True)
class RecomputationInputs:
    """What the values of one release are computed again from.

    generations: when each generation logged was true, to the microsecond; item_ids: the release's; history_length:
    events kept per person; has_event_types: whether its histories say of what type an event is; other_tables: see
    LoggedParity; tolerance: largest relative difference of two values that count as equal, 0 for the same 32 bits.
    """

    tables: CanonicalTables
    schemas: FeatureSchemas
    item_ids: IdMap
    generations: dict[str, datetime]
    history_length: int
    has_event_types: bool = True
    other_tables: tuple[str, ...] = ()
    tolerance: float = 0.0


def check_logged_values(release_id: str, used: Sequence[UsedValues], inputs: RecomputationInputs) -> LoggedParity:
    """Compute every logged value of a release again, and compare.

    Raises ReleaseMismatch where other features are declared than the release has.
    """
    people = [(one, one.user) for one in used if one.user is not None]
    items = [(one, one.items) for one in used if one.items is not None]
    return LoggedParity(
        release_id,
        sum(one.user is not None or one.items is not None for one in used),
        inputs.other_tables,
        (
            *_row_parities(inputs, inputs.schemas.user, people),
            *_row_parities(inputs, inputs.schemas.item, items),
            *_history_parities(inputs, people),
        ),
    )


def _row_parities(
    inputs: RecomputationInputs, schema: FeatureSchema, logged: Sequence[tuple[UsedValues, UsedRows]]
) -> list[FeatureParity]:
    if not logged:
        return [FeatureParity(name) for name in schema.names]
    online = _joined_rows(schema, [used for _, used in logged])
    keys = [
        RowKey(entity_id, _as_of(inputs, one, written), one.now, _recent(inputs, one) if used is one.user else ())
        for one, used in logged
        for entity_id, written in zip(used.ids, used.rows.written.tolist(), strict=True)
    ]
    requests = [one.request_id for one, used in logged for _ in used.ids]
    where = [
        f"{schema.entity} {key.entity_id!r} at {key.now.isoformat()}, request {request_id}"
        for key, request_id in zip(keys, requests, strict=True)
    ]
    expected = expected_rows(
        inputs.tables, schema, keys, inputs.history_length, inputs.item_ids, has_event_types=inputs.has_event_types
    )
    return [
        _feature_parity(
            name, _feature_column(online, column), _feature_column(expected, column), where, inputs.tolerance
        )
        for column, name in enumerate(schema.names)
    ]


def _history_parities(
    inputs: RecomputationInputs, logged: Sequence[tuple[UsedValues, UsedRows]]
) -> list[FeatureParity]:
    keys = [RowKey(used.ids[0], inputs.generations[one.generation_id], one.now) for one, used in logged]
    expected = expected_histories(inputs.tables, keys, inputs.history_length, inputs.item_ids)
    where = [
        f"user {key.entity_id!r} at {key.now.isoformat()}, request {one.request_id}"
        for key, (one, _) in zip(keys, logged, strict=True)
    ]
    lengths = (
        _integer_column([one.n_events for one, _ in logged]),
        _integer_column([history.n_events for history in expected]),
    )
    ends = (
        _integer_column([one.last_ts for one, _ in logged]),
        _integer_column([history.last_ts for history in expected]),
    )
    return [
        _feature_parity(HISTORY_LENGTH, lengths[0], lengths[1], where, 0),
        _feature_parity(HISTORY_END, ends[0], ends[1], where, 0),
    ]


@dataclass(frozen=True)
class _ComparedColumn:
    """One feature of many keys. missing: where the value is a default."""

    values: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_]

    def describe(self, at: int) -> str:
        """One value in words."""
        return f"{self.values[at]!s}{' (missing)' if self.missing[at] else ''}"


def _feature_column(rows: ReadRows, column: int) -> _ComparedColumn:
    return _ComparedColumn(rows.values[:, column], rows.missing[:, column])


def _integer_column(numbers: Sequence[int | None]) -> _ComparedColumn:
    values = np.array([0 if number is None else number for number in numbers], np.int64)
    return _ComparedColumn(values, np.array([number is None for number in numbers], bool))


def _feature_parity(
    name: str, online: _ComparedColumn, offline: _ComparedColumn, where: Sequence[str], tolerance: float
) -> FeatureParity:
    """Two defaults are compared as well: both sides lack a value, and must fill in the same."""
    missing, extra = online.missing & ~offline.missing, offline.missing & ~online.missing
    mismatch = _differing(online.values, offline.values, tolerance) & ~missing & ~extra
    at_fault = np.flatnonzero(mismatch | missing | extra)
    example = ""
    if len(at_fault):
        first = int(at_fault[0])
        example = f"{where[first]}: {online.describe(first)} online, {offline.describe(first)} offline"
    return FeatureParity(name, len(where), int(mismatch.sum()), int(missing.sum()), int(extra.sum()), example)


def _differing(online: npt.NDArray[Any], offline: npt.NDArray[Any], tolerance: float) -> npt.NDArray[np.bool_]:
    differ: npt.NDArray[np.bool_] = ~np.isclose(online, offline, rtol=tolerance, atol=0)
    return differ


def _joined_rows(schema: FeatureSchema, logged: Sequence[UsedRows]) -> ReadRows:
    rows = [used.rows for used in logged]
    widths = {row.values.shape[1] for row in rows}
    if widths != {len(schema.features)}:
        raise ArtefactError(
            f"The values log holds {schema.entity} rows of {sorted(widths)} values; the release has "
            f"{len(schema.features)} features.",
            "Something else wrote into it: remove it with `redis-cli del`, and let it fill again.",
        )
    return ReadRows(
        np.concatenate([row.values for row in rows]),
        np.concatenate([row.known for row in rows]),
        np.concatenate([row.missing for row in rows]),
        np.concatenate([row.written for row in rows]),
    )


def _recent(inputs: RecomputationInputs, one: UsedValues) -> tuple[LoggedEvent, ...]:
    return tuple(
        LoggedEvent(event.event_us, event.event_type, _item_name(inputs.item_ids, event.item_idx))
        for event in one.recent
    )


def _item_name(item_ids: IdMap, item_idx: int | None) -> str | None:
    """The item's id; of one that the release does not know a name that no item has."""
    if item_idx is None:
        return None
    return item_ids.ids[item_idx] if 0 <= item_idx < len(item_ids) else f"\0{item_idx}"


def _as_of(inputs: RecomputationInputs, one: UsedValues, written: int) -> datetime:
    """When a row was true: what its header says, to the microsecond where that is its generation's own moment."""
    own = inputs.generations[one.generation_id]
    return own if written in (0, epoch_seconds(own)) else moment_of(written)
