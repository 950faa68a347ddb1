"""The loop of `slate sync --watch`."""

from __future__ import annotations

import os
import signal
from threading import Event

import pytest

from contracts.errors import RegistryUnavailable
from release.watching import stopped_by_signals, watch


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
