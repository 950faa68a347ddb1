"""Where log records wait while Redis is away: one bounded file, a line a record, each with its checksum.

    <CRC-32 of the record, 8 hexadecimal digits> <the record, JSON without line ends>

What was taken survives the process, killed in whichever line; with `fsync` also the machine. A line that is not whole
(the disk was full, or the machine lost power) is never taken for a record: it is left out and counted. Lines of before,
which had no checksum, are taken where they are JSON.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import orjson

LOG = logging.getLogger(__name__)
LINES_AT_ONCE = 1000
CHECKSUM_LENGTH = 8


@dataclass(frozen=True)
class Shipped:
    """What went from the spool into Redis. n_damaged: lines that were no whole record, and are gone."""

    n_records: int = 0
    n_damaged: int = 0


class RecordSpool:
    """A file of records, oldest first, that never grows past `max_bytes`; one process uses it, any thread of it.

    The file is held open: where somebody deletes it while records wait, they are written into a new one.
    fsync: whether a record that was kept is on the disk, and not only with the operating system.
    """

    def __init__(self, path: Path, max_bytes: int, *, fsync: bool = False) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._fsync = fsync
        self._lock = threading.Lock()  # around the file; never held while Redis is written
        self._file: int | None = None  # its descriptor
        self._shipped = 0
        if path.exists():
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def __len__(self) -> int:
        """Bytes that still wait."""
        with self._lock:
            return self._size() - self._shipped

    def append(self, records: Sequence[bytes]) -> int:
        """Keep as many of the records as there is room for, in order; returns how many. Raises OSError.

        Nothing of a record that was not kept whole stays behind.
        """
        with self._lock:
            return self._append(records)

    def append_all(self, records: Sequence[bytes]) -> None:
        """Keep all of the records, or none; raises OSError also where there is no room for all."""
        with self._lock:
            before = self._size()
            n_kept = self._append(records)
            if n_kept < len(records):
                if self._file is not None:
                    os.ftruncate(self._file, before)
                raise OSError(errno.ENOSPC, f"there is room for {n_kept} of {len(records)} records in {self._path}")

    def _append(self, records: Sequence[bytes]) -> int:
        file = self._opened()
        size = self._end_of_last_line(file)
        lines = [_checksummed_line(record) for record in records]
        ends = list(accumulate((len(line) for line in lines), initial=size))[1:]
        n_room = sum(end <= self._max_bytes for end in ends)
        if not n_room:
            return 0
        try:
            written = os.pwrite(file, b"".join(lines[:n_room]), size)
            if self._fsync:
                os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
        n_kept = sum(end <= size + written for end in ends[:n_room])
        if n_kept < n_room:  # the disk took a part of them
            os.ftruncate(file, ends[n_kept - 1] if n_kept else size)
        return n_kept

    def ship(self, write: Callable[[Sequence[bytes]], object]) -> Shipped:
        """Hand every waiting record to `write`, oldest first, and empty the file.

        When `write` raises, what it took before is not handed over again by this process; by the next one it is.
        """
        n_records = n_damaged = 0
        while lines := self._waiting_lines():
            records = [record for record in map(_record_of, lines) if record is not None]
            write(records)
            n_records += len(records)
            n_damaged += len(lines) - len(records)
            self._note_shipped(sum(map(len, lines)))
        if n_damaged:
            LOG.error("%d lines of %s were no whole records; they are lost.", n_damaged, self._path)
        return Shipped(n_records, n_damaged)

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _waiting_lines(self) -> list[bytes]:
        with self._lock:
            if self._file is None or self._size() <= self._shipped:
                return []
            with suppress(OSError):
                self._restore_deleted()
            with os.fdopen(os.dup(self._file), "rb") as reading:
                reading.seek(self._shipped)
                return list(islice(reading, LINES_AT_ONCE))

    def _note_shipped(self, n_bytes: int) -> None:
        """So much is in Redis; once that is everything, the file goes."""
        with self._lock:
            self._shipped += n_bytes
            if self._file is not None and self._size() <= self._shipped:
                self._path.unlink(missing_ok=True)
                os.close(self._file)
                self._file, self._shipped = None, 0

    def _size(self) -> int:
        return 0 if self._file is None else os.fstat(self._file).st_size

    def _opened(self) -> int:
        """The file that is at the path."""
        self._restore_deleted()
        if self._file is None:
            self._file = self._new_file()
        return self._file

    def _restore_deleted(self) -> None:
        """Where the file was deleted, what waits goes into a new one."""
        if self._file is None or self._is_at_path(self._file):
            return
        LOG.warning("%s was deleted while it held records; they are written into a new one.", self._path)
        waiting = os.pread(self._file, self._max_bytes, self._shipped)
        anew = self._new_file()
        os.pwrite(anew, waiting, 0)
        os.close(self._file)
        self._file, self._shipped = anew, 0

    def _is_at_path(self, file: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(file))

    def _new_file(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def _end_of_last_line(self, file: int) -> int:
        """Where to go on; a last line without its end, which an earlier process left, is ended first."""
        size = self._size()
        self._shipped = min(self._shipped, size)  # somebody cut the file off
        if size and os.pread(file, 1, size - 1) != b"\n":
            size += os.pwrite(file, b"\n", size)
        return size


def _checksummed_line(record: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(record), record)


def _record_of(line: bytes) -> bytes | None:
    """The record of a line; None where it is not whole."""
    if line.startswith(b"{"):
        return _record_of_before(line)
    checksum, space, record = line[:CHECKSUM_LENGTH], line[CHECKSUM_LENGTH:][:1], line[CHECKSUM_LENGTH + 1 :]
    whole = record.endswith(b"\n") and space == b" " and checksum == b"%08x" % zlib.crc32(record[:-1])
    return record[:-1] if whole else None


def _record_of_before(line: bytes) -> bytes | None:
    try:
        return line.rstrip(b"\n") if isinstance(orjson.loads(line), dict) else None
    except ValueError:
        return None
