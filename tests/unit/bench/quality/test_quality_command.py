"""`python -m bench.quality`: what would change nothing is refused, with what to type, before anything is measured."""

from __future__ import annotations

import sys

import pytest

import bench.quality.__main__ as command


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--tuned"], "type --literature FOLDER --tuned, or leave --tuned out"),
        (["--literature", "x", "--last", "why"], "leave --last out, or leave --literature out"),
        (
            ["--literature", "x", "--tuned", "--peers", "ease", "--movielens", "y"],
            "leave --movielens and --peers out, or leave --literature out",
        ),
    ],
)
def test_what_would_change_nothing_is_refused(typed: list[str], told: str, monkeypatch, capsys) -> None:
    measured: list[object] = []
    monkeypatch.setattr(sys, "argv", ["bench.quality", *typed])
    monkeypatch.setattr(command, "_compare", measured.append)
    monkeypatch.setattr(command, "measure_literature", lambda *asked, **_named: measured.append(asked))
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert (ended.value.code, measured) == (2, [])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("typed", [[], ["--peers", "ease", "--last", "why"], ["--literature", "x", "--tuned"]])
def test_what_belongs_together_is_measured(typed: list[str], monkeypatch) -> None:
    measured: list[object] = []
    monkeypatch.setattr(sys, "argv", ["bench.quality", *typed])
    monkeypatch.setattr(command, "_compare", measured.append)
    monkeypatch.setattr(command, "measure_literature", lambda *asked, **_named: measured.append(asked))
    command.main()
    assert len(measured) == 1
