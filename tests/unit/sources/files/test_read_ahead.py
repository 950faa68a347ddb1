"""A stream that another thread reads from: its errors reach whom they concern, and no read outlives the process."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import weakref

import pyarrow.csv
import pytest

from sources.files import read_ahead
from sources.files.read_ahead import ReadAhead

LEAVES_WHILE_READING = """
import atexit, io, sys, threading, time
import pyarrow.csv
from sources.files.read_ahead import ReadAhead

reads, leaving = threading.Event(), threading.Event()

class Slow(io.RawIOBase):
    def readable(self):
        return True
    blocks = [b"a,b\\n" + b"1,2\\n" * 100_000] * 3
    def read(self, size=-1):
        if self.blocks:
            return self.blocks.pop()
        reads.set()
        leaving.wait()
        time.sleep(0.5)  # a slow disk
        return b"3,4\\n"

options = pyarrow.csv.ReadOptions(block_size=1000, use_threads=False)
reader = pyarrow.csv.open_csv(ReadAhead(Slow()).parser_stream(), read_options=options)
reads.wait()
atexit.register(leaving.set)
sys.exit(3)
"""


class Broken(io.RawIOBase):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int | None = -1) -> bytes:
        del size
        content, self._content = self._content, b""
        if not content:
            raise EOFError("cut short")
        return content


def test_what_the_stream_raises_is_kept_and_looks_like_its_end():
    ahead = ReadAhead(Broken(b"a,b\n1,2\n"))
    table = pyarrow.csv.read_csv(ahead.parser_stream())
    assert table.num_rows == 1
    with pytest.raises(EOFError, match="cut short"):
        ahead.check()


def test_a_stream_that_was_ended_gives_nothing_and_is_no_error():
    ahead = ReadAhead(io.BytesIO(b"abcdef"))
    assert ahead.read(2) == b"ab"
    ahead.end()
    assert ahead.parser_stream().read() == b""
    ahead.check()


def test_a_parser_that_is_gone_holds_no_stream():
    given = ReadAhead(io.BytesIO(b"a,b\n1,2\n")).parser_stream()
    held = weakref.ref(given)
    reader = pyarrow.csv.open_csv(given)
    del given
    assert held() in read_ahead._parser_streams
    reader.read_all()
    del reader
    gc.collect()
    assert held() is None


def test_a_process_that_ends_while_a_parser_reads_ends_with_its_own_exit_code():
    left = subprocess.run([sys.executable, "-c", LEAVES_WHILE_READING], capture_output=True, check=False)
    assert (left.returncode, left.stderr) == (3, b"")
