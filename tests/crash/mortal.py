"""A process that dies in the middle: at its n-th exchange with Redis or its n-th journal entry, before or after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis.connection

from release.journal.journal import Journal


class Blow(StrEnum):
    """Where death comes."""

    BEFORE_SENDING = "before a command is sent"
    AFTER_SENDING = "after it was sent, its answer unheard"
    BEFORE_JOURNAL = "before a journal entry"
    AFTER_JOURNAL = "after a journal entry"


@dataclass(frozen=True)
class Death:
    """Where, and at which time of coming there."""

    blow: Blow
    countdown: int


def doom(death: Death | None) -> None:
    """From here on this process dies there, by SIGKILL: nothing of it cleans up."""
    if death is None:
        return
    left = death.countdown

    def strike() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection = redis.connection.AbstractConnection
    match death.blow:
        case Blow.BEFORE_SENDING:
            connection.send_packed_command = _struck_before(connection.send_packed_command, strike)  # type: ignore[method-assign]
        case Blow.AFTER_SENDING:
            connection.send_packed_command = _struck_after(connection.send_packed_command, strike)  # type: ignore[method-assign]
        case Blow.BEFORE_JOURNAL:
            Journal.append = _struck_before(Journal.append, strike)  # type: ignore[method-assign]
        case Blow.AFTER_JOURNAL:
            Journal.append = _struck_after(Journal.append, strike)  # type: ignore[method-assign]


def _struck_before(method: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    def struck(*arguments: Any, **named: Any) -> Any:
        strike()
        return method(*arguments, **named)

    return struck


def _struck_after(method: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    def struck(*arguments: Any, **named: Any) -> Any:
        answer = method(*arguments, **named)
        strike()
        return answer

    return struck
