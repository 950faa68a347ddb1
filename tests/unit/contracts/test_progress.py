"""Progress in a log: whole lines, a minute apart, with the time left."""

from __future__ import annotations

import sys
import threading

import pytest

from contracts import progress
from contracts.progress import Progress, _Work, working


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


@pytest.mark.parametrize(("is_terminal", "first", "again"), [(True, 2, 15), (False, 15, 60)])
def test_what_takes_long_is_told_soon_on_a_terminal_and_seldom_in_a_log(
    is_terminal: bool, first: float, again: float
) -> None:
    work = _Work("slate inspect", is_terminal, started=100.0, step="reading")
    assert work.due(100 + first - 0.1) == ""
    assert work.due(100 + first) == f"slate inspect: reading, {first} s so far"
    assert work.due(100 + first + again - 0.1) == ""
    assert work.due(100 + first + again) == f"slate inspect: reading, {first + again} s so far"


@pytest.mark.parametrize(("is_terminal", "told"), [(True, "w: second, 5 s so far"), (False, "")])
def test_a_new_step_is_told_on_a_terminal(is_terminal: bool, told: str) -> None:
    work = _Work("w", is_terminal, started=0.0, told_at=4.0, told_step="first")
    work.step = "second"
    assert work.due(5.0) == told


def test_a_line_comes_while_the_work_goes_on_and_none_after_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_AFTER_S", {True: 0.0, False: 0.0})
    monkeypatch.setattr(progress, "LOOKS_EVERY_S", 0.001)
    told = threading.Event()
    write = progress.tqdm.write
    monkeypatch.setattr(progress.tqdm, "write", lambda line, file: (write(line, file=file), told.set()))
    with working("slate doctor") as begin:
        begin("MLflow")
        assert told.wait(timeout=60)
    assert "slate doctor" in capsys.readouterr().err
    assert "progress" not in {thread.name for thread in threading.enumerate()}
