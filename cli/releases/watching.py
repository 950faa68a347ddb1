"""Doing something again and again until told to stop: a round that fails is told, and the next one comes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
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
