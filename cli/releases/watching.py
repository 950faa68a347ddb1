"""Doing something again and again until told to stop: a round that fails is told, and the next one comes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

from contracts.errors import SlateworkError

Report = TypeVar("Report")

# A move that fails writes two entries into the journal each time; still, a request is decided within a minute.
MOST_BETWEEN_FAILURES_S = 30


def watch(
    round_: Callable[[], Report],
    tell: Callable[[Report], None],
    complain: Callable[[SlateworkError], None],
    stop: Event,
    every_s: float,
) -> None:
    """Call `round_` every `every_s` seconds until `stop` is set.

    tell: gets what each round returned; complain: gets the error of a round that failed, once as long as it stays the
    same. After each failure in a row the pause doubles, up to half a minute. Errors that are not ours end the loop.
    """
    last, pause_s = "", every_s
    while not stop.is_set():
        try:
            tell(round_())
            last, pause_s = "", every_s
        except SlateworkError as error:
            if str(error) != last:
                complain(error)
            last, pause_s = str(error), max(every_s, min(2 * pause_s, MOST_BETWEEN_FAILURES_S))
        stop.wait(pause_s)


@contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set, so that a round under way is finished first; a second one interrupts it."""
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
