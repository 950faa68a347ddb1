"""What a command and a watch may write at once: each writes its own unfinished file, and the last one wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.home import Home
from release.canary import page
from release.parity.parity_result import LoggedParity, load_last_parity, save_parity


def during_the_write(monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]) -> None:
    """Once the next file is written, and before it takes its place, somebody else writes it too."""
    original = Path.write_bytes

    def written_and_then_by_another(path: Path, content: bytes) -> int:
        monkeypatch.setattr(Path, "write_bytes", original)
        n_bytes = original(path, content)
        other = Thread(target=write)
        other.start()
        other.join()
        return n_bytes

    monkeypatch.setattr(Path, "write_bytes", written_and_then_by_another)


def test_of_two_parities_saved_at_once_the_last_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    during_the_write(monkeypatch, lambda: save_parity(tmp_path, LoggedParity("r-1", 2)))
    save_parity(tmp_path, LoggedParity("r-1", 1))
    assert load_last_parity(tmp_path, "r-1") == LoggedParity("r-1", 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_of_two_canary_pages_written_at_once_the_last_one_stays(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "page", lambda report, _trail: report.text)

    def report(text: str) -> Any:
        return SimpleNamespace(text=text, run=SimpleNamespace(canary=SimpleNamespace(release_id="r-1")))

    during_the_write(monkeypatch, lambda: page.write_page(home, report("the other's"), ()))
    assert page.write_page(home, report("mine"), ()).read_text() == "mine"
