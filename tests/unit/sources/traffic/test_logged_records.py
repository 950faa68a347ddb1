"""What servers log is read back cell by cell; what is no record is kept as it was found."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from contracts.filters import Condition, Operator
from contracts.ids import ItemId, UserId
from contracts.logged_slates import single_records
from contracts.slates import RecommendRequest, Slate, SlateItem, Tier
from serving.logs.records import events, shown
from serving.served import Arm
from serving.wire import SentEvent
from sources.traffic.logged_records import LOGGED, rows_by_table

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SHOWN = SlateItem(ItemId("i7"), "Film", 1, 0.5, "als", 0.25)
SLATE = {"request_id": "q1", "event_type": "slate", "format_version": 1, "item_ids": ["i7"], "propensity": 1.0}


def test_what_the_server_logs_is_read_cell_by_cell() -> None:
    slate = Slate("q1", "r-1", "g-1", Tier.PERSONAL, "greedy", ("features",), (SHOWN,), {})
    logged = [shown(RecommendRequest("q1", UserId("u1")), slate, Arm.PRODUCTION, NOW)]
    bought = SentEvent(event_type="purchase", user_id="u1", item_id="i7", request_id="q1", value=9.5)
    logged += events([(bought, NOW)])
    tables = rows_by_table(["5-0", "5-1"], [orjson.dumps(record) for record in logged])
    assert {name: table.schema for name, table in tables.items()} == LOGGED
    assert [len(tables[name]) for name in ("impressions", "interactions", "unreadable")] == [1, 1, 0]
    single = [one for record in logged for one in single_records(record)]
    for name, record in zip(("impressions", "interactions"), single, strict=True):
        expected = {column: record.get(column) if column == "filter" else record[column] for column in LOGGED[name]}
        found = tables[name].row(0, named=True)
        assert found == {**expected, "event_ts": NOW, **({"degraded": ["features"]} if "position" in found else {})}


def test_the_filter_that_a_slate_was_shown_under_is_read() -> None:
    slate = Slate("q1", "r-1", "g-1", Tier.PERSONAL, "greedy", (), (SHOWN,), {})
    asked = [RecommendRequest("q1", filter=wanted) for wanted in (None, Condition("price", Operator.AT_MOST, 50.0))]
    logged = [shown(one, slate, Arm.PRODUCTION, NOW) for one in asked]
    filters = rows_by_table(["5-0", "5-1"], [orjson.dumps(record) for record in logged])["impressions"]["filter"]
    assert filters[0] is None
    assert orjson.loads(filters[1]) == {"field": "price", "operator": "at_most", "value": 50.0}


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": ""},
        {"event_ts": "2026-11-24T12:00:00"},  # no zone
        {"event_ts": "1969-12-31T23:59:59Z"},
        {"event_type": "teleport"},
        {"event_type": "impression"},  # of no position
        {"event_type": "impression", "position": 2**31},
        {"user_id": 7},
        {**SLATE, "format_version": 2},
        {**SLATE, "request_id": ""},
        {**SLATE, "propensity": [1.0, 0.5]},
        {**SLATE, "item_ids": None},
    ],
)
def test_a_record_that_is_none_is_kept_as_text_with_the_reason(change: dict[str, object]) -> None:
    record = orjson.dumps({"event_id": "e", "event_ts": NOW.isoformat(), "event_type": "click", **change})
    tables = rows_by_table(["1000-7"], [record])
    kept = tables["unreadable"].row(0, named=True)
    assert (kept["event_id"], kept["record"]) == ("1000-7", record.decode())
    assert kept["event_ts"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert kept["reason"]
    assert len(tables["impressions"]) + len(tables["interactions"]) == 0


def test_bytes_that_are_no_json_are_kept_too() -> None:
    assert rows_by_table(["1-0", "2-0"], [b"", b"\xff{"])["unreadable"]["record"].to_list() == ["", "\ufffd{"]
