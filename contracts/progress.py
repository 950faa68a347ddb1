"""How far something is: a bar on a terminal; elsewhere, as in the log of a task, a line a minute with the time left."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from tqdm import tqdm

EVERY_S: Final = 60.0
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
