"""The record of what an answer stood on: it gives back every bit, and nothing else passes for one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ArtefactError
from contracts.events import EventType
from contracts.features import History, Person, ReadRows, RecentEvents
from contracts.ids import ItemId, UserId
from contracts.slates import RecommendRequest, Slate, SlateItem, Tier
from release.parity.used_values import (
    MAGIC,
    MOST_BYTES,
    N_NOT_SHOWN,
    UsedRows,
    UsedValues,
    ValuesRecorder,
    parse_record,
)

NOW = datetime(2020, 4, 10, 12, 0, 0, 123_456, tzinfo=UTC)
GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "logs"
ITEMS = tuple(ItemId(f"i{number}") for number in range(40))


def rows_of(values: list[list[float]]) -> ReadRows:
    """Rows whose first value is missing wherever it is negative."""
    matrix = np.array(values, np.float32).reshape(len(values), -1)
    return ReadRows(matrix, np.ones(len(values), bool), matrix < 0, np.arange(len(values), dtype=np.int64))


def somebody() -> Person:
    history = History.without_types(np.array([3, 4], np.int32), np.array([5, 9]), np.zeros(2, np.float32))
    recent = RecentEvents(
        np.array([-1], np.int32), np.array([7_000_000]), np.array([2], np.uint8), np.ones(1, np.float32)
    )
    return Person(rows_of([[-1.0, 2.0]]), history, RecentEvents.empty(), recent)


def rows_of_items(item_ids: Sequence[ItemId]) -> ReadRows:
    """An item's value is its number."""
    return rows_of([[float(item_id[1:])] for item_id in item_ids])


def slate(*item_ids: str, request_id: str = "r1") -> Slate:
    items = tuple(SlateItem(ItemId(one), "", at, 0.0, "als", 1.0) for at, one in enumerate(item_ids, start=1))
    return Slate(request_id, "r-1", "g1", Tier.PERSONAL, "ranker", (), items, {})


def asked(request_id: str = "r1", user_id: str | None = "u7") -> RecommendRequest:
    return RecommendRequest(request_id, None if user_id is None else UserId(user_id))


def used(shown: Slate, *, asked_for: int = 40) -> UsedValues:
    recorder, request = ValuesRecorder(), asked(shown.request_id)
    recorder.note_people([request], [somebody()], NOW)
    recorder.note_items([request], ITEMS, rows_of_items(ITEMS), [np.arange(asked_for)])
    found = recorder.used(shown)
    assert found is not None
    return found


def test_what_was_read_is_kept_with_when_and_for_whom():
    found = used(slate("i5", "i3"))
    assert (found.request_id, found.release_id, found.generation_id, found.now) == ("r1", "r-1", "g1", NOW)
    assert (found.n_events, found.last_ts) == (2, 9)
    assert found.recent == ((7_000_000, EventType.CLICK, -1),)
    assert found.user is not None
    assert (found.user.ids, found.user.rows.missing.tolist()) == (("u7",), [[True, False]])


def test_each_of_several_answers_has_its_own_person_and_none_but_its_own_candidates():
    recorder, requests = ValuesRecorder(), [asked("r1", "u7"), asked("r2", "u8")]
    recorder.note_people(requests, [somebody(), somebody()], NOW)
    recorder.note_items(requests, ITEMS, rows_of_items(ITEMS), [np.arange(0, 20), np.arange(10, 40)])
    one, other = (recorder.used(slate("i15", request_id=name)) for name in ("r1", "r2"))
    assert one is not None
    assert other is not None
    assert [found.user.ids for found in (one, other) if found.user] == [("u7",), ("u8",)]
    assert one.items is not None
    assert other.items is not None
    assert {item_id for item_id in one.items.ids if int(item_id[1:]) >= 20} == set()
    assert {item_id for item_id in other.items.ids if int(item_id[1:]) < 10} == set()
    assert one.items.ids[0] == other.items.ids[0] == "i15"


def test_the_items_shown_come_first_in_their_order_and_some_others_after():
    items = used(slate("i5", "i3")).items
    assert items is not None
    assert items.ids[:2] == ("i5", "i3")
    assert len(set(items.ids)) == len(items.ids) == 2 + N_NOT_SHOWN
    assert items.rows.values[:, 0].tolist() == [float(item_id[1:]) for item_id in items.ids]


def test_the_others_are_drawn_by_the_request_alone():
    one, again, other = (used(slate("i5", request_id=name)).items for name in ("r1", "r1", "r2"))
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.ids == again.ids != other.ids


def test_where_few_were_candidates_all_are_kept():
    items = used(slate("i0"), asked_for=3).items
    assert items is not None
    assert sorted(items.ids) == ["i0", "i1", "i2"]


def test_an_answer_that_read_nothing_has_no_values():
    assert ValuesRecorder().used(slate("i5")) is None


def test_somebody_who_did_not_say_who_they_are_has_no_row():
    recorder = ValuesRecorder()
    recorder.note_people([asked(user_id=None)], [somebody()], NOW)
    found = recorder.used(slate("i5"))
    assert found is not None
    assert (found.user, found.items) == (None, None)


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=9),
    st.data(),
)
def test_a_record_gives_back_every_bit(values: list[list[float]], data: st.DataObject) -> None:
    n = len(values)
    rows = ReadRows(
        np.array(values, np.float32),
        np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))),
        np.array(data.draw(st.lists(st.booleans(), min_size=3 * n, max_size=3 * n))).reshape(n, 3),
        np.array(data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n)), np.int64),
    )
    before = replace(used(slate("i5")), items=UsedRows(ITEMS[:n], rows))
    after = parse_record(before.to_bytes("production"))
    assert after.now == before.now
    assert after.items is not None
    assert after.items.ids == ITEMS[:n]
    assert after.items.rows.values.tobytes() == rows.values.tobytes()
    for part in ("known", "missing", "written"):
        np.testing.assert_array_equal(getattr(after.items.rows, part), getattr(rows, part))


def record_of(head: Callable[[dict[str, Any]], Any] = lambda head: head, blocks: bytes | None = None) -> bytes:
    """A record whose head, and what lies behind it, are others."""
    content = zlib.decompress(used(slate("i5")).to_bytes("production")[len(MAGIC) :])
    n_head = int.from_bytes(content[:4], "little")
    changed = json.dumps(head(json.loads(content[4 : 4 + n_head]))).encode()
    behind = content[4 + n_head :] if blocks is None else blocks
    return MAGIC + zlib.compress(len(changed).to_bytes(4, "little") + changed + behind)


def of_user(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda head: {**head, "user": {**head["user"], **changes}}


def of_version_1(**changes: Any) -> bytes:
    said = json.loads((GOLDEN / "values_v1.json").read_bytes())
    return json.dumps({**said, "user": {**said["user"], **changes}}).encode()


def test_the_record_that_is_broken_below_is_one() -> None:
    assert parse_record(record_of()).request_id == "r1"
    assert parse_record(of_version_1()).request_id == "q1"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"{}",
        of_version_1(values="AAAA"),
        of_version_1(values="no base64!"),
        of_version_1(missing=""),
        of_version_1(ids=[]),
        of_version_1(known=[True, True]),
        MAGIC,
        b"SV\x03" + record_of()[len(MAGIC) :],
        record_of()[:-1],
        MAGIC + b"no zlib",
        MAGIC + zlib.compress(bytes(MOST_BYTES + 1)),
        record_of(lambda head: []),
        record_of(lambda head: {**head, "now": "2020-04-10T12:00:00"}),
        record_of(of_user(ids=[])),
        record_of(of_user(known=[True, True])),
        record_of(of_user(n_features=3)),
        record_of(of_user(n_features=-2)),
        record_of(blocks=b""),
        record_of(blocks=bytes(1000)),
    ],
)
def test_what_is_no_record_is_refused_by_name(record: bytes) -> None:
    with pytest.raises(ArtefactError, match="values log"):
        parse_record(record)
