"""The spool: what waits for Redis is kept in order, within bounds, across restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from serving.logs.record_spool import LINES_AT_ONCE, RecordSpool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "movies.events.jsonl"


def test_what_was_kept_is_shipped_in_order_and_only_once(path: Path) -> None:
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"one", b"two"])
    spool.append([b"three"])
    assert spool.ship(shipped.extend) == 3
    assert spool.ship(shipped.extend) == 0
    assert shipped == [b"one", b"two", b"three"]
    assert not path.exists()


def test_what_has_no_room_is_left_out_and_counted(path: Path) -> None:
    spool = RecordSpool(path, max_bytes=8)
    assert spool.append([b"abc", b"def", b"g"]) == 2  # 3 + 1 and 3 + 1 bytes
    assert path.stat().st_size == 8
    assert spool.append([b"h"]) == 0


def test_room_is_there_again_once_it_was_shipped(path: Path) -> None:
    spool = RecordSpool(path, max_bytes=4)
    spool.append([b"abc"])
    spool.ship(lambda _lines: None)
    assert spool.append([b"def"]) == 1


def test_what_an_earlier_process_left_is_shipped_but_for_a_line_it_did_not_finish(path: Path) -> None:
    RecordSpool(path, max_bytes=1000).append([b"one", b"two"])
    with path.open("ab") as file:
        file.write(b"thr")
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"four"])
    spool.ship(shipped.extend)
    assert shipped == [b"one", b"two", b"four"]


def test_a_write_that_fails_half_way_goes_on_where_it_stopped(path: Path) -> None:
    lines = [b"%d" % number for number in range(LINES_AT_ONCE + 5)]
    spool, shipped = RecordSpool(path, max_bytes=100_000), []
    spool.append(lines)

    def take_one_batch(batch: Sequence[bytes]) -> None:
        if shipped:
            raise ConnectionError
        shipped.extend(batch)

    with pytest.raises(ConnectionError):
        spool.ship(take_one_batch)
    assert len(spool) > 0
    spool.append([b"last"])
    assert spool.ship(shipped.extend) == 6
    assert shipped == [*lines, b"last"]
