"""How far something is: a bar on a terminal; elsewhere, as in the log of a task, a line a minute with the time left.

Of what has no count, it is said what is being done, once it takes long (`working`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tqdm import tqdm

EVERY_S: Final = 60.0
# On a terminal somebody waits; a log is read later, and what is quick leaves no line in it.
FIRST_AFTER_S: Final = {True: 2.0, False: 15.0}
AGAIN_AFTER_S: Final = {True: 15.0, False: EVERY_S}
LOOKS_EVERY_S: Final = 0.5
LINE: Final = "{desc}: {n_fmt} of {total_fmt} {unit}s, {percentage:.0f}% after {elapsed}, about {remaining} left"


class Progress(tqdm):  # type: ignore[type-arg]  # tqdm's own class takes no parameter when it runs
    """tqdm that never writes half lines into a log. What takes less than a minute says nothing there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._in_lines = not sys.stderr.isatty()
        self._told = time.monotonic()
        if self._in_lines:
            kwargs |= {"mininterval": EVERY_S, "bar_format": LINE if _is_counted(args, kwargs) else None}
        super().__init__(*args, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the state: in a log, where the last line is a minute old at least."""
        if not self._in_lines:
            super().display(msg, pos)
        elif time.monotonic() - self._told >= EVERY_S:
            self._told = time.monotonic()
            sys.stderr.write(f"{self}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """End it; in a log without an empty line."""
        if not self._in_lines:
            super().close()
        elif not self.disable:
            self.disable = True
            self._decr_instances(self)  # type: ignore[attr-defined]  # tqdm's, of which no types are published


def _is_counted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it is known how much there is."""
    return kwargs.get("total") is not None or (bool(args) and hasattr(args[0], "__len__"))


@dataclass
class _Work:
    """What is being done, and when it was told last; times in seconds of one clock."""

    what: str
    is_terminal: bool
    started: float
    step: str = ""
    told_step: str | None = None
    told_at: float | None = None

    def due(self, now: float) -> str:
        """The line to print now; empty where nothing is due."""
        if self.told_at is None:
            is_due = now - self.started >= FIRST_AFTER_S[self.is_terminal]
        else:
            is_new = self.is_terminal and self.step != self.told_step
            is_due = is_new or now - self.told_at >= AGAIN_AFTER_S[self.is_terminal]
        if not is_due:
            return ""
        self.told_at, self.told_step = now, self.step
        step = f": {self.step}" if self.step else ""
        return f"{self.what}{step}, {now - self.started:.0f} s so far"


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """While the block runs and takes long, say so on stderr; yields what takes the name of the step that begins.

    On a terminal a line comes after two seconds, with each step from then on, and every quarter of a minute; in a log
    after a quarter of a minute, and then one a minute. What is quick says nothing.
    """
    work = _Work(what, sys.stderr.isatty(), time.monotonic())
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(LOOKS_EVERY_S):
            line = work.due(time.monotonic())
            if line:
                tqdm.write(line, file=sys.stderr)  # above a bar that is drawn at the moment
                sys.stderr.flush()

    def begin(step: str) -> None:
        work.step = step

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield begin
    finally:
        ended.set()
        teller.join()
