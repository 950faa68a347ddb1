"""A warning that comes with every request is written once a minute."""

from __future__ import annotations

import logging

from serving.repeated_warnings import SILENT_S, OncePerMinute


def record(message: str, at: float, *arguments: object, logger: str = "release") -> logging.LogRecord:
    made = logging.LogRecord(logger, logging.WARNING, "path", 1, message, arguments, None)
    made.created = at
    return made


def test_the_same_template_is_let_through_once_a_minute_whatever_its_arguments() -> None:
    once = OncePerMinute()
    assert once.filter(record("without %s", 0.0, "features"))
    assert not once.filter(record("without %s", SILENT_S - 1, "ranker"))
    assert once.filter(record("without %s", SILENT_S, "features"))


def test_other_messages_and_other_loggers_are_let_through() -> None:
    once = OncePerMinute()
    assert once.filter(record("without %s", 0.0, "features"))
    assert once.filter(record("serving %s", 0.0, "r1"))
    assert once.filter(record("without %s", 0.0, "features", logger="serving"))
