"""The spool: what waits for Redis is kept in order, within bounds, across restarts."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.logs.record_spool import LINES_AT_ONCE, RecordSpool, Shipped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "movies.events.jsonl"


def test_what_was_kept_is_shipped_in_order_and_only_once(path: Path) -> None:
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"one", b"two"])
    spool.append([b"three"])
    assert spool.ship(shipped.extend) == Shipped(3)
    assert spool.ship(shipped.extend) == Shipped(0)
    assert shipped == [b"one", b"two", b"three"]
    assert not path.exists()


def test_what_has_no_room_is_left_out_and_counted(path: Path) -> None:
    spool = RecordSpool(path, max_bytes=26)
    assert spool.append([b"abc", b"def", b"g"]) == 2  # 9 + 3 + 1 and 9 + 3 + 1 bytes
    assert path.stat().st_size == 26
    assert spool.append([b"h"]) == 0


def test_room_is_there_again_once_it_was_shipped(path: Path) -> None:
    spool = RecordSpool(path, max_bytes=13)
    spool.append([b"abc"])
    spool.ship(lambda _lines: None)
    assert spool.append([b"def"]) == 1


def test_what_an_earlier_process_left_is_shipped_but_for_a_line_it_did_not_finish(path: Path) -> None:
    RecordSpool(path, max_bytes=1000).append([b"one", b"two"])
    with path.open("ab") as file:
        file.write(b"thr")
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"four"])
    assert spool.ship(shipped.extend) == Shipped(3, n_damaged=1)
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
    assert spool.ship(shipped.extend) == Shipped(6)
    assert shipped == [*lines, b"last"]


def test_a_file_that_is_deleted_while_records_wait_is_written_anew(path: Path) -> None:
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"one"])
    path.unlink()
    spool.append([b"two"])
    RecordSpool(path, max_bytes=1000).ship(shipped.extend)  # as the next process finds it
    assert shipped == [b"one", b"two"]
    path.unlink(missing_ok=True)
    assert spool.ship(shipped.extend) == Shipped(2)
    spool.append([b"three"])
    assert spool.ship(shipped.extend) == Shipped(1)
    assert not path.exists()


def test_a_file_that_is_cut_off_loses_what_was_cut_and_nothing_after(path: Path) -> None:
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"one", b"two", b"three"])
    with path.open("r+b") as file:
        file.truncate(20)  # the first line is 13 bytes
    spool.append([b"four"])
    assert spool.ship(shipped.extend) == Shipped(2, n_damaged=1)
    assert shipped == [b"one", b"four"]


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda one: b"\n" not in one), max_size=5), st.data())
def test_whatever_is_torn_or_changed_is_never_taken_for_a_record(records: list[bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path, shipped = Path(folder) / "spool", []
        RecordSpool(path, max_bytes=1000).append(records)
        content = bytearray(path.read_bytes())
        if content:
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        RecordSpool(path, max_bytes=1000).ship(shipped.extend)
        assert [one for one in shipped if one not in records] == []


def test_a_disk_that_fills_up_within_a_write_keeps_whole_records_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, shipped = os.pwrite, []

    def a_part(descriptor: int, content: bytes, offset: int) -> int:
        return write(descriptor, content[:20], offset)

    spool = RecordSpool(path, max_bytes=1000)
    monkeypatch.setattr(os, "pwrite", a_part)
    assert spool.append([b"one", b"two"]) == 1
    with pytest.raises(OSError, match="there is room for 1 of 2 records"):
        spool.append_all([b"three", b"four"])
    monkeypatch.setattr(os, "pwrite", write)
    assert spool.ship(shipped.extend) == Shipped(1)
    assert shipped == [b"one"]


def test_a_disk_that_refuses_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, shipped = os.pwrite, []

    def refuse(descriptor: int, content: bytes, offset: int) -> int:
        write(descriptor, content[:5], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = RecordSpool(path, max_bytes=1000)
    spool.append([b"one"])
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match="No space left"):
        spool.append([b"two"])
    monkeypatch.setattr(os, "pwrite", write)
    spool.append([b"three"])
    assert spool.ship(shipped.extend) == Shipped(2)
    assert shipped == [b"one", b"three"]


def test_lines_of_before_which_had_no_checksum_are_shipped_where_they_are_json(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"event_id":"1"}\n{"event_id":"2"}\n{"event_i')
    spool, shipped = RecordSpool(path, max_bytes=1000), []
    spool.append([b"{}"])
    assert spool.ship(shipped.extend) == Shipped(3, n_damaged=1)
    assert shipped == [b'{"event_id":"1"}', b'{"event_id":"2"}', b"{}"]


@pytest.mark.parametrize("fsync", [True, False])
def test_each_append_is_on_the_disk_where_that_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    RecordSpool(path, max_bytes=1000, fsync=fsync).append([b"one"])
    assert len(synced) == fsync
