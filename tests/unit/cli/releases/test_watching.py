"""The loop of `slate sync --watch`."""

from __future__ import annotations

import os
import signal
from threading import Event

import pytest

from cli.releases.watching import watch
from contracts.errors import RegistryUnavailable
from contracts.stop_signals import stopped_by_signals


def rounds(stop: Event, *results: str | Exception):
    """A round that returns or raises these in turn, and stops the loop with the last."""
    left = list(results)

    def one() -> str:
        result = left.pop(0)
        if not left:
            stop.set()
        if isinstance(result, Exception):
            raise result
        return result

    return one


def test_a_round_that_fails_is_told_and_the_next_one_comes() -> None:
    stop, told, errors = Event(), [], []
    away = RegistryUnavailable("MLflow is away.", "Start it.")
    watch(rounds(stop, "a", away, "b"), told.append, errors.append, stop, 0)
    assert (told, errors) == (["a", "b"], [away])


def test_an_error_is_told_once_until_it_changes_or_is_over() -> None:
    stop, errors = Event(), []
    away, full = RegistryUnavailable("away", "x"), RegistryUnavailable("full", "x")
    watch(rounds(stop, away, away, full, full, "fine", full), lambda _: None, errors.append, stop, 0)
    assert errors == [away, full, full]


class RecordingEvent(Event):
    """Never waits, and remembers how long it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()


def test_rounds_that_go_on_failing_come_less_and_less_often_but_within_half_a_minute() -> None:
    stop, full = RecordingEvent(), RegistryUnavailable("full", "x")
    watch(rounds(stop, full, full, full, full, full, "fine", full), lambda _: None, lambda _: None, stop, 3)
    assert stop.waits == [3 * 2, 3 * 4, 3 * 8, 30, 30, 3, 3 * 2]


def test_a_watch_that_looks_more_seldom_than_that_keeps_its_pace() -> None:
    stop, full = RecordingEvent(), RegistryUnavailable("full", "x")
    watch(rounds(stop, full, "fine"), lambda _: None, lambda _: None, stop, 300)
    assert stop.waits == [300, 300]


def test_an_error_that_is_not_ours_ends_the_loop() -> None:
    stop = Event()
    with pytest.raises(ZeroDivisionError):
        watch(rounds(stop, ZeroDivisionError(), "never"), lambda _: None, lambda _: None, stop, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_loop_after_the_round_and_a_second_one_interrupts_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told = []
    with stopped_by_signals() as stop:

        def one() -> str:
            os.kill(os.getpid(), number)
            return "finished"

        watch(one, told.append, told.append, stop, 0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert told == ["finished"]
    assert signal.getsignal(number) is before
