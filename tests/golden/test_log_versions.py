"""Records of every past format of the logs are read as they were meant, and what is written now is of the last one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import orjson
import pytest

from contracts.logged_slates import impressions_of
from release.canary.sums import CANARY, CanarySums
from release.parity.used_values import parse_record
from serving.logs.event_log import EventLog
from sources.traffic.logged_records import rows_by_table
from tests.canary_worlds import count, run_of
from tests.golden.build_logs import FOLDER, NOW, slates, values

POLICIES = ("greedy", "explored")
PROPENSITIES = {"greedy": [1.0, 1.0, 1.0], "explored": [1.0, 0.25, 0.5]}


def lines(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().splitlines()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_record_for_a_slate_stands_for_the_very_records_of_before(policy: str) -> None:
    before = [orjson.loads(line) for line in lines(f"impressions_{policy}.jsonl")]
    assert list(impressions_of(orjson.loads(lines(f"slate_v1_{policy}.json")[0]))) == before


@pytest.mark.parametrize("policy", POLICIES)
def test_both_are_collected_as_the_same_rows(policy: str) -> None:
    before, now = lines(f"impressions_{policy}.jsonl"), lines(f"slate_v1_{policy}.json")
    rows = rows_by_table(["1-0", "1-1", "1-2"], before)["impressions"]
    assert rows_by_table(["1-0"], now)["impressions"].equals(rows)
    assert rows["propensity"].to_list() == PROPENSITIES[policy]
    assert rows["position"].to_list() == [1, 2, 3]
    assert rows["item_id"].to_list() == ["i1", "ünï", "i3"]
    assert rows["event_ts"].unique().to_list() == [datetime(2026, 11, 30, 12, 0, 0, 123_456, tzinfo=UTC)]


def test_a_canary_adds_up_both_alike_and_once() -> None:
    def of_canary(line: bytes) -> bytes:
        return orjson.dumps({**orjson.loads(line), "release_id": "r-candidate"})

    before, now = (
        [of_canary(line) for policy in POLICIES for line in lines(name.format(policy))]
        for name in ("impressions_{}.jsonl", "slate_v1_{}.json")
    )
    run = run_of(0.3)
    one, other, twice = (count(CanarySums(run), records) for records in (before, now, [*before, *now]))
    for sums in (one, other, twice):
        assert sums.propensity(CANARY) == 3 + 1.75
        assert {name: counts.tolist() for name, counts in sums.cells().counts.items()} == {
            "requests": [2], "clicked_requests": [0], "impressions": [6], "clicks": [0], "degraded": [1],
        }  # fmt: skip


@pytest.mark.parametrize("name", ["values_v1.json", "values_v2.bin"])
def test_the_values_of_an_answer_are_read_to_the_bit(name: str) -> None:
    found, expected = parse_record((FOLDER / name).read_bytes()), values()
    assert (found.request_id, found.now, found.n_events, found.last_ts) == ("q1", NOW, 5, 1_789_999_999)
    assert found.recent == expected.recent
    for part in ("user", "items"):
        read, meant = getattr(found, part), getattr(expected, part)
        assert read.ids == meant.ids
        assert read.rows.values.tobytes() == meant.rows.values.tobytes()
        for column in ("known", "missing", "written"):
            np.testing.assert_array_equal(getattr(read.rows, column), getattr(meant.rows, column))


def test_what_is_written_now_is_of_the_last_version() -> None:
    for policy, record in slates().items():
        assert EventLog.encoded([record]) == lines(f"slate_v1_{policy}.json")
    # Not the bytes: another zlib may compress otherwise.
    assert values().to_bytes("canary").startswith((FOLDER / "values_v2.bin").read_bytes()[:3])
