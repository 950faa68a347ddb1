"""How rows and histories are packed into bytes for the online store.

Little-endian throughout. Every value starts with 16 bytes:

    0   2  magic: b"SR" a feature row, b"SH" a history
    2   1  format version: of a row 2, of a history 3 (version 1 lay in a key of its own per person and item)
    3   1  zero
    4   4  u32: when the values were true (`as_of` of the generation), epoch seconds
    8   8  what the bytes after must be read with: of a row the layout's fingerprint, of a history the id map's

    row:      then one f32 per feature, in the schema's order; NaN where the value is missing
    history:  then per event, oldest first: u32 of which the lower 28 bits are the item_idx and the upper 4 the event's
              type (see `contracts.events.EVENT_CODES`), u32 event time (epoch seconds), f32 value (NaN where none)

A history of version 2 is of a bundle that told no types: its upper 4 bits are zero.

A layout is an entity and its feature names in order. Defaults and TTL belong to the release that reads, not to the row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import FeatureSchema, History
from contracts.fingerprint import fingerprint_json
from contracts.ids import FloatArray
from feature_store.online.keys import FORMAT_VERSION

ROW_MAGIC = b"SR"
HISTORY_MAGIC = b"SH"
HEADER = struct.Struct("<2sBxI8s")
EVENT = np.dtype([("item", "<u4"), ("event_ts", "<u4"), ("value", "<f4")])
ITEM_BITS = 28
LARGEST_IDX, LARGEST_TYPE = 2**ITEM_BITS - 1, 2**4 - 1
HISTORY_VERSIONS = (2, 3)  # without types, and with them
MAX_EPOCH = 2**32 - 1  # u32: until the year 2106


@dataclass(frozen=True)
class UnpackedRows:
    """Rows out of the store, NaN where missing. written: (n,) epoch seconds, 0 where the row is not `known`."""

    values: FloatArray
    written: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


def layout_fingerprint(schema: FeatureSchema) -> str:
    """What a packed row must be read with: the entity and the names in order."""
    return fingerprint_json({"entity": str(schema.entity), "names": list(schema.names)})


def epoch_seconds(moment: datetime) -> int:
    """A moment as a row's header holds it: whole seconds, rounded down.

    Raises ArtefactError outside 1970 to 2106.
    """
    seconds = int(moment.timestamp() // 1)
    if not 0 <= seconds <= MAX_EPOCH:
        raise ArtefactError(
            f"{moment.isoformat()} cannot be packed: it is outside 1970 to 2106.", "Mend the times of the source."
        )
    return seconds


def moment_of(seconds: int) -> datetime:
    """The moment that a header's seconds stand for."""
    return datetime.fromtimestamp(seconds, UTC)


def pack_rows(values: FloatArray, layout: str, written: int) -> list[bytes]:
    """One packed row per row of `values` (n, n_features), in order."""
    rows = np.empty(len(values), dtype=_row_type(values.shape[1]))
    rows[["head", "written", "layout"]] = _row_head(layout, written)
    rows["values"] = values
    packed, width = rows.tobytes(), rows.itemsize
    return [packed[start : start + width] for start in range(0, len(packed), width)]


def unpack_rows(packed: Sequence[bytes | None], schema: FeatureSchema) -> UnpackedRows:
    """The rows in their order; a None stays unknown, its values NaN.

    Raises ReleaseMismatch when a row was written with another layout, ArtefactError when it is no row at all.
    """
    known = np.array([row is not None for row in packed], dtype=bool)
    present = [row for row in packed if row is not None]
    values = np.full((len(packed), len(schema.features)), np.nan, dtype=np.float32)
    written = np.zeros(len(packed), dtype=np.int64)
    if present:
        rows = _checked_rows(present, schema)
        values[known], written[known] = rows["values"], rows["written"]
    return UnpackedRows(values, written, known)


def pack_history(history: History, id_map: str, written: int) -> bytes:
    """One person's history."""
    (packed,) = pack_histories(history, [len(history)], id_map, written)
    return packed


def pack_histories(events: History, lengths: Sequence[int], id_map: str, written: int) -> list[bytes]:
    """The histories of several people, whose events follow each other; lengths: how many are whose.

    Raises ArtefactError when an item or a type has a number larger than there are bits for it.
    """
    _check_fits(events)
    rows = np.empty(len(events), dtype=EVENT)
    rows["item"] = events.item_idx | events.event_types.astype(np.uint32) << ITEM_BITS
    rows["event_ts"], rows["value"] = events.event_ts, events.values
    packed, size = rows.tobytes(), EVENT.itemsize
    counts = np.asarray(lengths, np.int64)
    ends = np.cumsum(counts)
    n_typed = np.append(0, np.cumsum(events.event_types != UNSPECIFIED_TYPE))
    # Of a bundle that told no types the bytes are what they always were.
    typed = n_typed[ends] > n_typed[ends - counts]
    headers = [HEADER.pack(HISTORY_MAGIC, version, written, bytes.fromhex(id_map)) for version in HISTORY_VERSIONS]
    return [
        headers[is_typed] + packed[size * (end - length) : size * end]
        for end, length, is_typed in zip(ends.tolist(), lengths, typed.tolist(), strict=True)
    ]


def unpack_history(packed: bytes, id_map: str) -> History:
    """The history as it was packed; raises like `unpack_rows`, here with the id map's fingerprint."""
    _check_header(packed, HISTORY_MAGIC, id_map, "The history", HISTORY_VERSIONS)
    if (len(packed) - HEADER.size) % EVENT.itemsize:
        raise _damaged(f"A history is {len(packed)} bytes, which is no whole number of events.")
    events = np.frombuffer(packed, dtype=EVENT, offset=HEADER.size)
    return History(
        (events["item"] & LARGEST_IDX).astype(np.int32),
        events["event_ts"].astype(np.int64),
        (events["item"] >> ITEM_BITS).astype(np.uint8),
        events["value"].astype(np.float32),
    )


def _check_fits(events: History) -> None:
    item_idx, event_type = events.item_idx.max(initial=0), events.event_types.max(initial=UNSPECIFIED_TYPE)
    if item_idx > LARGEST_IDX or event_type > LARGEST_TYPE:
        raise ArtefactError(
            f"Histories hold item number {item_idx} and event type {event_type}; the online store takes numbers up to "
            f"{LARGEST_IDX} and {LARGEST_TYPE}.",
            "Serve fewer items: leave those out that nobody touches any more.",
        )


def _checked_rows(packed: list[bytes], schema: FeatureSchema) -> npt.NDArray[np.void]:
    layout = layout_fingerprint(schema)
    row_type = _row_type(len(schema.features))
    if {len(row) for row in packed} == {row_type.itemsize}:
        rows = np.frombuffer(b"".join(packed), dtype=row_type)
        expected = _row_head(layout, written=0)
        if (rows["head"] == expected["head"]).all() and (rows["layout"] == expected["layout"]).all():
            return rows
    for row in packed:
        _check_header(row, ROW_MAGIC, layout, f"The {schema.entity} row", (FORMAT_VERSION,))
    lengths = sorted({len(row) for row in packed})
    raise _damaged(f"A {schema.entity} row is {lengths} bytes long; expected {row_type.itemsize}.")


def _row_head(layout: str, written: int) -> npt.NDArray[np.void]:
    header = HEADER.pack(ROW_MAGIC, FORMAT_VERSION, written, bytes.fromhex(layout))
    return np.frombuffer(header, dtype=np.dtype([("head", "<u4"), ("written", "<u4"), ("layout", "<u8")]))


def _row_type(n_features: int) -> np.dtype[np.void]:
    """A header (see HEADER) and the values; magic, version and the zero byte as one number."""
    return np.dtype([("head", "<u4"), ("written", "<u4"), ("layout", "<u8"), ("values", "<f4", (n_features,))])


def _check_header(packed: bytes, magic: bytes, expected: str, what: str, versions: tuple[int, ...]) -> None:
    if len(packed) < HEADER.size or packed[:2] != magic:
        raise _damaged(f"{what} starts with {packed[: HEADER.size]!r}, not with {magic!r}.")
    if packed[2] not in versions:
        readable = " and ".join(map(str, versions))
        raise _damaged(f"{what} is of format version {packed[2]}; this Slatework reads {readable}.")
    found = packed[8:16].hex()
    if found != expected:
        raise ReleaseMismatch(
            f"{what} in the online store was packed with {found}, but is read with {expected}.",
            "They belong to different releases: promote the release that these values were published for, "
            "or publish the values of the one that reads (`dvc repro publish`).",
        )


def _damaged(problem: str) -> ArtefactError:
    return ArtefactError(
        f"{problem} Something else wrote into the online store.",
        "Publish again with `dvc repro publish`; it mends what differs.",
    )
