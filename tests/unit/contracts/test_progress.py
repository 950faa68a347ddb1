"""Progress in a log: whole lines, a minute apart, with the time left."""

from __future__ import annotations

import sys

import pytest

from contracts import progress
from contracts.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The one that Progress and tqdm look at."""
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr("tqdm.std.time", clock)
    assert not sys.stderr.isatty()
    return clock


def test_a_line_a_minute_with_what_is_done_and_what_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in Progress(range(12), desc="ranking@test", unit="snapshot"):
        clock.now += 31
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "ranking@test: 2 of 12 snapshots, 17% after 01:02, about 05:10 left"
    assert len(lines) == 6  # of 372 s


def test_what_takes_less_than_a_minute_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=4, desc="register") as bar:
        for _ in range(4):
            clock.now += 10
            bar.update()
    assert capsys.readouterr().err == ""


def test_of_what_nobody_knows_the_end_of_it_is_said_how_much_is_done(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in Progress(iter(range(3)), desc="shadow", unit="request"):
        clock.now += 61
    assert capsys.readouterr().err.startswith("shadow: 1request [01:01, ")
