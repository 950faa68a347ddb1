"""Whether a service answers: one small question each, over loopback, that never raises for a service that is down."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

Probe = Callable[[], bool]

ANSWER_WITHIN_SECONDS = 3.0  # a health check on loopback takes milliseconds; a service that is busy starting, longer


def always() -> bool:
    """For a service that nobody can ask: it is up when its process is."""
    return True


def responds(url: str) -> Probe:
    """True when the address answers with success."""
    return lambda: _fetch(url) is not None


def airflow_responds(url: str) -> Probe:
    """True when Airflow's own health report says that scheduler, DAG processor and database are well."""

    def probe() -> bool:
        report = _fetch(url)
        parts = ("metadatabase", "scheduler", "dag_processor")
        return report is not None and all(report.get(part, {}).get("status") == "healthy" for part in parts)

    return probe


def readiness(url: str, starting: str) -> Callable[[], str]:
    """What a server's `/readyz` says, in words: that it is ready, or why not; empty while it starts.

    starting: the message by which it says that it starts. A release that is not there is no start: nobody knows when
    one comes.
    """

    def readiness_in_words() -> str:
        report = _fetch(url, failing=True)
        if not report or report.get("message") == starting:
            return ""
        if report.get("ready"):
            return f"ready with release {report.get('release_id')}"
        return f"not ready: {report.get('message')} {report.get('next_step', '')}".rstrip()

    return readiness_in_words


def _fetch(url: str, *, failing: bool = False) -> dict[str, Any] | None:
    """The JSON object at an address, {} where it answers something else, None where it does not answer.

    failing: an answer that says no is one, too.
    """
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_SECONDS) as answer:  # noqa: S310 -- loopback, our own
            body = answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            body = refusal.read()
        if not failing:
            return None
    except OSError:
        return None
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
