"""`slate recommend` where there is nothing to show says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cli import serving
from cli.main import command_line
from contracts.home import Home
from serving import command_line_answer

NOTHING = SimpleNamespace(items=(), degraded=(), release_id="r-1", generation_id="g-1", tier="popular")
PRICE = '{"field": "price", "operator": "at_most", "value": 0}'


@pytest.mark.parametrize(("more", "said"), [(["--filter", PRICE], "passes the filter"), ([], "excluding_events")])
def test_an_empty_slate_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: list[str], said: str) -> None:
    monkeypatch.setattr(serving, "find_home", lambda: Home(tmp_path))
    monkeypatch.setattr(command_line_answer, "answer_once", lambda *_: NOTHING)
    printed = CliRunner().invoke(command_line(), ["recommend", *more], catch_exceptions=False).output
    assert "No item: " in printed
    assert said in printed
    assert "title" not in printed
