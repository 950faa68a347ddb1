"""The events that a history does not hold, as few bytes: they only say what somebody touched, and when last.

Numbers of seven bits a byte, the lowest first; the highest bit of a byte says that another one follows (LEB128).
First, for each event in the order of item and type, how much its `item_idx * 16 + type` is above the one before; then,
in the same order, how many seconds before the values were true it was done.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError
from contracts.features import OlderEvents

TYPE_BITS = 4
SEVEN, MORE = 7, 0x80
LONGEST = 5  # bytes of a number: 35 bits


def pack_older(older: OlderEvents, written: int) -> bytes:
    """The bytes of one person's older events; written: when the values were true, epoch seconds."""
    keys = older.item_idx.astype(np.int64) << TYPE_BITS | older.event_types
    ages = np.maximum(written - older.event_ts, 0)
    return _packed_numbers(np.concatenate([np.diff(keys, prepend=0), ages]))


def unpack_older(packed: bytes, written: int) -> OlderEvents:
    """What `pack_older` packed; raises ArtefactError for any other bytes."""
    numbers = _unpacked_numbers(packed)
    if len(numbers) % 2:
        raise _no_older_events(packed)
    deltas, ages = np.split(numbers, 2)
    keys = np.cumsum(deltas)
    if len(keys) and (keys[-1] >> TYPE_BITS > np.iinfo(np.int32).max or (deltas[1:] <= 0).any()):
        raise _no_older_events(packed)
    item_idx, event_types = keys >> TYPE_BITS, keys & (1 << TYPE_BITS) - 1
    return OlderEvents(item_idx.astype(np.int32), written - ages, event_types.astype(np.uint8))


def _packed_numbers(numbers: npt.NDArray[np.int64]) -> bytes:
    shifts = SEVEN * np.arange(LONGEST)
    groups = (numbers[:, None] >> shifts) & (MORE - 1)
    n_bytes = np.maximum((numbers[:, None] >> shifts > 0).sum(axis=1), 1)
    place = np.arange(LONGEST)
    groups |= np.where(place < n_bytes[:, None] - 1, MORE, 0)
    packed: bytes = groups[place < n_bytes[:, None]].astype(np.uint8).tobytes()
    return packed


def _unpacked_numbers(packed: bytes) -> npt.NDArray[np.int64]:
    content = np.frombuffer(packed, np.uint8).astype(np.int64)
    is_last = content < MORE
    if not len(content):
        return content
    if not is_last[-1]:
        raise _no_older_events(packed)
    number: npt.NDArray[np.int64] = np.cumsum(is_last) - is_last  # which number each byte belongs to
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    place = np.arange(len(content)) - starts[number]
    if (place >= LONGEST).any():
        raise _no_older_events(packed)
    values = np.zeros(int(is_last.sum()), np.int64)
    np.add.at(values, number, (content & (MORE - 1)) << SEVEN * place)
    return values


def _no_older_events(packed: bytes) -> ArtefactError:
    return ArtefactError(
        f"Older events cannot be read from {len(packed)} bytes that begin with {packed[:16]!r}.",
        "Something else wrote into the online store: publish again with `dvc repro publish`.",
    )
