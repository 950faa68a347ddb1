"""The pointer on disk outlives the process, and a damaged one is no pointer."""

from __future__ import annotations

import pytest

from contracts.home import Home
from feature_store.online.pointer import Pointer
from serving.live.last_pointer import LastPointer, Remembered

POINTER = Pointer("r-0123456789abcdef", "g1", epoch=3)


def test_what_was_kept_is_read_by_the_next_process(home: Home) -> None:
    LastPointer(home, "movies").keep(POINTER, ["r-before", "r-first"])
    assert LastPointer(home, "movies").read() == Remembered(POINTER, ("r-before", "r-first"))


def test_a_file_that_names_no_earlier_releases_is_read_too(home: Home) -> None:
    last = LastPointer(home, "movies")
    last.keep(POINTER)
    last.path.write_bytes(b'{"release_id":"r-0123456789abcdef","generation_id":"g1","epoch":3}')
    assert last.read() == Remembered(POINTER)


def test_applications_do_not_share_it(home: Home) -> None:
    LastPointer(home, "movies").keep(POINTER)
    assert LastPointer(home, "articles").read() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"release_id":"r","generation_id":"g","epoch":"x"}'])
def test_a_damaged_file_is_no_pointer_and_is_logged(
    home: Home, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    last = LastPointer(home, "movies")
    last.keep(POINTER)
    last.path.write_bytes(content)
    assert last.read() is None
    assert str(last.path) in caplog.text


def test_a_disk_that_refuses_is_logged_and_no_error(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.root.mkdir(parents=True)
    (home.root / "serving").write_text("a file where the folder should be")
    LastPointer(home, "movies").keep(POINTER)
    assert "could not be written" in caplog.text
