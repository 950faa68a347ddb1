"""What a history does not hold, in few bytes, and read as it was written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ArtefactError
from contracts.features import History, OlderEvents
from feature_store.online.packed_older import pack_older, unpack_older
from feature_store.online.packing import EVENT, HEADER, SEAL, pack_history, unpack_history, unpack_older_events

WRITTEN = 1_700_000_000
ID_MAP = "0123456789abcdef"


def older(*events: tuple[int, int, int]) -> OlderEvents:
    """Item, type, seconds before the values were true."""
    items, types, ages = zip(*sorted(events), strict=True) if events else ((), (), ())
    return OlderEvents(np.array(items, np.int32), WRITTEN - np.array(ages, np.int64), np.array(types, np.uint8))


def rows(events: OlderEvents) -> list[tuple[int, int, int]]:
    return list(zip(events.item_idx.tolist(), events.event_types.tolist(), events.event_ts.tolist(), strict=True))


@given(st.dictionaries(st.tuples(st.integers(0, 2**28 - 1), st.integers(0, 15)), st.integers(0, WRITTEN), max_size=60))
def test_older_events_come_back_as_they_were(touched: dict[tuple[int, int], int]) -> None:
    before = older(*((item, kind, age) for (item, kind), age in touched.items()))
    assert rows(unpack_older(pack_older(before, WRITTEN), WRITTEN)) == rows(before)


def test_an_item_takes_a_byte_or_two_and_its_time_four() -> None:
    # 64 items, 8 apart: 8 * 16 = 128 above the one before, two bytes; 200 days are 17,280,000 seconds, four bytes.
    touched = older(*((8 * number, 1, 200 * 86_400) for number in range(1, 65)))
    assert len(pack_older(touched, WRITTEN)) == 64 * (2 + 4)


def test_a_history_carries_them_behind_its_events_under_one_seal() -> None:
    history = History(
        np.array([5], np.int32), np.array([WRITTEN - 1]), np.array([1], np.uint8), np.array([2.0], np.float32)
    )
    before = older((3, 1, 70), (3, 4, 60), (9, 1, 90))
    packed = pack_history(history, ID_MAP, WRITTEN, "u1", before)
    known = unpack_history(packed, ID_MAP, "u1")
    assert known is not None
    assert known.item_idx.tolist() == [5]
    assert rows(unpack_older_events(packed)) == rows(before)
    assert unpack_history(packed[:-6] + b"\x01" + packed[-5:], ID_MAP, "u1") is None
    assert unpack_history(packed, ID_MAP, "u2") is None


def test_without_any_the_bytes_are_those_of_before() -> None:
    history = History(
        np.array([5], np.int32), np.array([WRITTEN - 1]), np.array([1], np.uint8), np.array([2.0], np.float32)
    )
    packed = pack_history(history, ID_MAP, WRITTEN, "u1")
    assert packed[2] == 5
    assert len(packed) == HEADER.size + SEAL.size + EVENT.itemsize
    assert rows(unpack_older_events(packed)) == []


@pytest.mark.parametrize("content", [b"\x80", b"\x01", b"\xff\xff\xff\xff\xff\x01\x01", b"\x10\x00\x01\x01"])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ArtefactError, match="Older events cannot be read"):
        unpack_older(content, WRITTEN)
