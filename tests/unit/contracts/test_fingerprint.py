"""Fingerprints of files: within `hashed_once` each is read once, and again after any change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from contracts.fingerprint import SETTLED_NS, FileState, fingerprint_bytes, fingerprint_file, hashed_once


def settled(path: Path, content: bytes) -> Path:
    """A file that was last changed long enough ago for a later change to look different."""
    path.write_bytes(content)
    while time.time_ns() - path.stat().st_ctime_ns <= SETTLED_NS:
        os.sched_yield()
    return path


def test_a_file_that_was_hashed_is_not_read_again(tmp_path: Path) -> None:
    path = settled(tmp_path / "array.npy", b"some bytes")
    with hashed_once() as hashed:
        assert fingerprint_file(path) == fingerprint_bytes(b"some bytes")
        assert hashed == {FileState.of(path.stat()): fingerprint_bytes(b"some bytes")}
        hashed[FileState.of(path.stat())] = "as noted"
        assert fingerprint_file(path) == "as noted"
    assert fingerprint_file(path) == fingerprint_bytes(b"some bytes")


def test_what_another_process_hashed_is_not_read_again(tmp_path: Path) -> None:
    path = settled(tmp_path / "array.npy", b"some bytes")
    with hashed_once({FileState.of(path.stat()): "as told"}):
        assert fingerprint_file(path) == "as told"


def test_a_file_changed_in_its_place_is_read_again_also_where_its_date_was_put_back(tmp_path: Path) -> None:
    path = settled(tmp_path / "array.npy", b"some bytes")
    before = path.stat()
    with hashed_once():
        fingerprint_file(path)
        path.write_bytes(b"SOME BYTES")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert fingerprint_file(path) == fingerprint_bytes(b"SOME BYTES")


def test_another_file_of_that_name_is_read(tmp_path: Path) -> None:
    path = settled(tmp_path / "array.npy", b"some bytes")
    with hashed_once():
        fingerprint_file(path)
        (tmp_path / "other").write_bytes(b"more bytes")
        (tmp_path / "other").replace(path)
        assert fingerprint_file(path) == fingerprint_bytes(b"more bytes")


def test_a_file_that_was_changed_just_now_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "array.npy"
    path.write_bytes(b"some bytes")
    monkeypatch.setattr(time, "time_ns", lambda: path.stat().st_ctime_ns + SETTLED_NS)
    with hashed_once() as hashed:
        fingerprint_file(path)
    assert not hashed


def test_one_within_another_knows_and_adds_to_what_the_outer_one_does(tmp_path: Path) -> None:
    first, second = settled(tmp_path / "first", b"1"), settled(tmp_path / "second", b"2")
    with hashed_once() as outer:
        fingerprint_file(first)
        with hashed_once() as inner:
            fingerprint_file(second)
            assert inner.keys() == {FileState.of(first.stat()), FileState.of(second.stat())}
        assert outer.keys() == inner.keys()
