"""How rows and histories are packed into bytes for the online store.

Little-endian throughout. Every value starts with 20 bytes, the last 4 of which are its seal:

    0   2  magic: b"SR" a feature row, b"SH" a history
    2   1  format version: of a row 3, of a history 5 (version 1 lay in a key of its own per person and item)
    3   1  zero
    4   4  u32: when the values were true (`as_of` of the generation), epoch seconds
    8   8  what the bytes after must be read with: of a row the layout's fingerprint, of a history the id map's
    16  4  u32: a checksum of all other bytes, with the CRC-32 of the id that it is stored under in this place: it fits
           neither a value that changed nor that of somebody else (`_row_checksums`; of a history, the CRC-32)

    row:      then one f32 per feature, in the schema's order; NaN where the value is missing
    history:  then per event, oldest first: u32 of which the lower 28 bits are the item_idx and the upper 4 the event's
              type (see `contracts.events.EVENT_CODES`), u32 event time (epoch seconds), f32 value (NaN where none)

A history of version 6 is of somebody who did more than a history holds. Behind the events it has what else they touched
(see `packed_older`), and at its end, as u32, how many bytes that is.

A history of version 4 is of a bundle that told no types: its upper 4 bits are zero. Rows of version 2 and histories of
versions 2 and 3 (without types, and with them) have no seal; they are read until they are replaced.

A layout is an entity and its feature names in order. Defaults and TTL belong to the release that reads, not to the row.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import FeatureSchema, History, OlderEvents
from contracts.ids import FloatArray
from feature_store.online.packed_older import pack_older, unpack_older

ROW_MAGIC = b"SR"
HISTORY_MAGIC = b"SH"
HEADER = struct.Struct("<2sBxI8s")
SEAL = struct.Struct("<I")
EVENT = np.dtype([("item", "<u4"), ("event_ts", "<u4"), ("value", "<f4")])
ITEM_BITS = 28
LARGEST_IDX, LARGEST_TYPE = 2**ITEM_BITS - 1, 2**4 - 1
SEAL_WORD = HEADER.size // 4  # which of a row's 32-bit words it is
UNSEALED_ROW, ROW_VERSION = 2, 3
UNSEALED_HISTORIES, HISTORY_VERSIONS = (2, 3), (4, 5)  # each without types, and with them
LONG_HISTORY = 6  # with what the history does not hold
LENGTH = struct.Struct("<I")
NOTHING_OLDER: Mapping[int, OlderEvents] = MappingProxyType({})
MAX_EPOCH = 2**32 - 1  # u32: until the year 2106


KeyHashes = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class UnpackedRows:
    """Rows out of the store, NaN where missing. written: (n,) epoch seconds, 0 where the row is not `known`.

    damaged: (n,) where there are bytes whose seal is broken or is somebody else's; such a row is not known.
    """

    values: FloatArray
    written: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    damaged: npt.NDArray[np.bool_]


def key_hashes(ids: Iterable[str]) -> KeyHashes:
    """(n,) the hashes of ids that values are stored under; computed anew, which is quicker than to look them up."""
    return _hashes_of(map(str.encode, ids))


def _hashes_of(ids: Iterable[bytes]) -> KeyHashes:
    return np.fromiter(map(zlib.crc32, ids), np.uint32)


def layout_fingerprint(schema: FeatureSchema) -> str:
    """What a packed row must be read with: the entity and the names in order."""
    return schema.layout


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


def pack_rows(values: FloatArray, layout: str, written: int, ids: Sequence[bytes]) -> list[bytes]:
    """One packed row per row of `values` (n, n_features), in order. ids: (n,) what each will be stored under."""
    rows = np.empty(len(values), dtype=_row_type(values.shape[1], ROW_VERSION))
    rows[list(_HEAD)] = _row_head(layout, written, ROW_VERSION)
    rows["values"] = values
    rows["checksum"] = _row_checksums(rows, _hashes_of(ids))
    packed, width = rows.tobytes(), rows.itemsize
    return [packed[start : start + width] for start in range(0, len(packed), width)]


def unpack_rows(packed: Sequence[bytes | None], keys: KeyHashes, schema: FeatureSchema) -> UnpackedRows:
    """The rows in their order; a None stays unknown, its values NaN. keys: (n,) hashes of the ids asked for.

    Raises ReleaseMismatch when a row was written with another layout, ArtefactError when it is no row at all.
    """
    present = [row for row in packed if row is not None]
    if len(present) == len(packed) > 0:
        rows = _checked_rows(present, schema)
        known = _sound_rows(rows, keys)
        if known.all():
            return UnpackedRows(rows["values"].astype(np.float32), rows["written"].astype(np.int64), known, ~known)
    there = np.array([row is not None for row in packed], dtype=bool)
    values = np.full((len(packed), len(schema.features)), np.nan, dtype=np.float32)
    written = np.zeros(len(packed), dtype=np.int64)
    known = there.copy()
    if present:
        rows = _checked_rows(present, schema)
        known[there] = sound = _sound_rows(rows, keys[there])
        values[known], written[known] = rows["values"][sound], rows["written"][sound]
    return UnpackedRows(values, written, known, there & ~known)


def pack_history(history: History, id_map: str, written: int, user_id: str, older: OlderEvents | None = None) -> bytes:
    """One person's history. older: what it is too short to hold."""
    ids, of_whom = [user_id.encode()], {0: older} if older is not None else {}
    (packed,) = pack_histories(history, [len(history)], id_map, written, ids, of_whom)
    return packed


def pack_histories(
    events: History,
    lengths: Sequence[int],
    id_map: str,
    written: int,
    ids: Sequence[bytes],
    older: Mapping[int, OlderEvents] = NOTHING_OLDER,
) -> list[bytes]:
    """The histories of several people, whose events follow each other; lengths: how many are whose; ids: whose.

    older: by position in `ids`, what the history of somebody who did more is too short to hold.

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
    typed = n_typed[ends] > n_typed[ends - counts]
    headers = [HEADER.pack(HISTORY_MAGIC, version, written, bytes.fromhex(id_map)) for version in HISTORY_VERSIONS]
    histories = [
        _sealed_history(headers[is_typed], packed[size * (end - length) : size * end], user_id)
        for end, length, is_typed, user_id in zip(ends.tolist(), lengths, typed.tolist(), ids, strict=True)
    ]
    long = HEADER.pack(HISTORY_MAGIC, LONG_HISTORY, written, bytes.fromhex(id_map))
    for position, mine in older.items():
        tail = pack_older(mine, written)
        body = histories[position][len(long) + SEAL.size :] + tail + LENGTH.pack(len(tail))
        histories[position] = _sealed_history(long, body, ids[position])
    return histories


def unpack_history(packed: bytes, id_map: str, user_id: str) -> History | None:
    """The history as it was packed, None where its seal is broken or is somebody else's.

    Raises like `unpack_rows`, here with the id map's fingerprint.
    """
    readable = (*UNSEALED_HISTORIES, *HISTORY_VERSIONS, LONG_HISTORY)
    _check_header(packed, HISTORY_MAGIC, id_map, "The history", readable)
    is_sealed = packed[2] not in UNSEALED_HISTORIES
    start = HEADER.size + (SEAL.size if is_sealed else 0)
    end = len(packed) - _older_size(packed)
    if end < start or (end - start) % EVENT.itemsize:
        raise _damaged(f"A history is {len(packed)} bytes, which is no whole number of events.")
    if is_sealed and packed != _sealed_history(packed[: HEADER.size], packed[start:], user_id.encode()):
        return None
    events = np.frombuffer(packed[start:end], dtype=EVENT)
    return History(
        (events["item"] & LARGEST_IDX).astype(np.int32),
        events["event_ts"].astype(np.int64),
        (events["item"] >> ITEM_BITS).astype(np.uint8),
        events["value"].astype(np.float32),
    )


def unpack_older_events(packed: bytes) -> OlderEvents:
    """What a history does not hold; packed: bytes that `unpack_history` found whole.

    Raises ArtefactError where they cannot be read.
    """
    size = _older_size(packed)
    if not size:
        return OlderEvents.empty()
    _, _, written, _ = HEADER.unpack_from(packed)
    return unpack_older(packed[len(packed) - size : -LENGTH.size], written)


def _older_size(packed: bytes) -> int:
    """How many bytes at the end of a history are about what it is too short to hold."""
    if packed[2] != LONG_HISTORY or len(packed) < HEADER.size + SEAL.size + LENGTH.size:
        return 0
    return int(LENGTH.unpack(packed[-LENGTH.size :])[0]) + LENGTH.size


def _sealed_history(header: bytes, events: bytes, user_id: bytes) -> bytes:
    return header + SEAL.pack(zlib.crc32(events, zlib.crc32(header + SEAL.pack(zlib.crc32(user_id))))) + events


def _check_fits(events: History) -> None:
    item_idx, event_type = events.item_idx.max(initial=0), events.event_types.max(initial=UNSPECIFIED_TYPE)
    if item_idx > LARGEST_IDX or event_type > LARGEST_TYPE:
        raise ArtefactError(
            f"Histories hold item number {item_idx} and event type {event_type}; the online store takes numbers up to "
            f"{LARGEST_IDX} and {LARGEST_TYPE}.",
            "Serve fewer items: leave those out that nobody touches any more.",
        )


def _checked_rows(packed: list[bytes], schema: FeatureSchema) -> npt.NDArray[np.void]:
    """The rows, all as if they had a seal; that of a row without one is zero."""
    layout, n_features = layout_fingerprint(schema), len(schema.features)
    rows = _rows_of_version(packed, layout, n_features, ROW_VERSION)
    if rows is not None:
        return rows
    for row in packed:
        _check_header(row, ROW_MAGIC, layout, f"The {schema.entity} row", (UNSEALED_ROW, ROW_VERSION))
    one_by_one = [_one_row(row, layout, n_features, schema) for row in packed]
    return np.concatenate(one_by_one)


def _one_row(row: bytes, layout: str, n_features: int, schema: FeatureSchema) -> npt.NDArray[np.void]:
    version = row[2]
    rows = _rows_of_version([row], layout, n_features, version)
    if rows is None:
        expected = _row_type(n_features, version).itemsize
        raise _damaged(f"A {schema.entity} row is {len(row)} bytes long; expected {expected}.")
    if version == ROW_VERSION:
        return rows
    unsealed = np.zeros(1, _row_type(n_features, ROW_VERSION))
    for name in (*_HEAD, "values"):
        unsealed[name] = rows[name]
    return unsealed


def _rows_of_version(packed: list[bytes], layout: str, n_features: int, version: int) -> npt.NDArray[np.void] | None:
    """The rows, where all of them are of this layout, version and length."""
    row_type = _row_type(n_features, version)
    if {len(row) for row in packed} != {row_type.itemsize}:
        return None
    rows = np.frombuffer(b"".join(packed), dtype=row_type)
    expected = _row_head(layout, 0, version)
    is_ours = (rows["head"] == expected["head"]).all() and (rows["layout"] == expected["layout"]).all()
    return rows if is_ours else None


def _sound_rows(rows: npt.NDArray[np.void], keys: KeyHashes) -> npt.NDArray[np.bool_]:
    """(n,) whether each row is whole and is stored under its own id; of rows without a seal nobody can tell."""
    is_sealed = rows["head"] == _head_number(ROW_VERSION)
    is_sound = rows["checksum"] == _row_checksums(rows, keys)
    return np.asarray(~is_sealed | is_sound, np.bool_)


def _row_checksums(rows: npt.NDArray[np.void], keys: KeyHashes) -> npt.NDArray[np.uint32]:
    """(n,) the upper half of the sum, modulo 2^64, of each row's 32-bit words times fixed 64-bit numbers.

    keys: (n,) hashes of their ids, which are taken for the word that is the checksum.
    A byte that changed, and words that changed places, go unnoticed once in 2^32. It takes some tens of nanoseconds a
    row, where a loop over the rows would take longer than Redis does.
    Source: Lemire and Kaser, Strongly universal string hashing is fast, 2014 (multilinear hashing).
    """
    words = np.ascontiguousarray(rows).view(np.uint32).reshape(len(rows), -1)
    sums = np.einsum("ij,j->i", words, _word_factors(words.shape[1])) + keys * np.uint64(_split_mix(SEAL_WORD + 1) | 1)
    return np.asarray(sums >> np.uint64(32), np.uint32)


@lru_cache(maxsize=16)
def _word_factors(n_words: int) -> npt.NDArray[np.uint64]:
    """(n_words,) odd numbers by SplitMix64 from 0; zero for the word that is the checksum."""
    factors = [_split_mix(word + 1) | 1 for word in range(n_words)]
    factors[SEAL_WORD] = 0
    return np.array(factors, np.uint64)


def _split_mix(step: int) -> int:
    """The number of SplitMix64 after so many steps from 0 (Steele, Lea and Flood, 2014)."""
    mask = 2**64 - 1
    z = step * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


_HEAD = {"head": "<u4", "written": "<u4", "layout": "<u8"}  # a header (see HEADER); magic, version and zero as a number
_SEAL = {"checksum": "<u4"}


@lru_cache(maxsize=64)  # a server holds a few releases
def _row_head(layout: str, written: int, version: int) -> npt.NDArray[np.void]:
    header = HEADER.pack(ROW_MAGIC, version, written, bytes.fromhex(layout))
    return np.frombuffer(header, dtype=np.dtype(list(_HEAD.items())))


def _head_number(version: int) -> int:
    return int.from_bytes(ROW_MAGIC + bytes([version, 0]), "little")


@lru_cache(maxsize=64)
def _row_type(n_features: int, version: int) -> np.dtype[np.void]:
    seal = _SEAL if version == ROW_VERSION else {}
    return np.dtype([*_HEAD.items(), *seal.items(), ("values", "<f4", (n_features,))])


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
