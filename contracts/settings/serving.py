"""Parameters `serving`: the servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.settings.group import Group


class ServingSettings(Group):
    """clock: `wall`, or `release` for data that ended long ago (now = as_of + time since the server started). An event
    that a client stamped by the wall's clock, within the last day, is moved to where it belongs on the release's.

    poll_ms: how often a server looks at what it should serve; kept_releases: how many releases of production stay in
    memory, the one served included, so that going back needs no loading; staging_header: whether a request may ask for
    the release in Staging with `X-Slate-Stage: staging`; request_log_length: questions kept in Redis for
    `slate shadow`, `slate replay` and `slate why`, with the ids of who asked; 0 keeps none. values_log_share: of the
    answers, 0 to 1, those whose feature values are logged for `slate parity`; values_log_length: answers kept so in
    Redis, some 1.5 KB each; 0 keeps none.
    values_check_s: how often a server counts whether the values it serves are all in Redis.
    max_waiting: requests for a slate that may wait for the thread that answers; the next gets what is popular, at once.
    max_wait_ms: a request for which nothing was done for so long is refused with 429; an answer that is expected to
    wait for more than a quarter of it is made of fewer candidates, and for more than half it is what is popular.
    event_id_hours: how long an event's id is remembered, within which the same id counts once. fsync: whether an event
    is acknowledged only once the disk has it, where it waits for Redis in a file: it outlives the process without, a
    power loss with it.
    session_length, session_ttl_minutes: the latest events of a session that are kept, until so long after the last one.
    recent_length, recent_ttl_hours: the same of a person; they stand in for what the published values do not tell yet,
    and should reach back to when those were true. Redis holds at most length * (27 bytes + an item's id) of each.
    """

    clock: Literal["wall", "release"]
    poll_ms: int = Field(ge=10, le=60_000)
    kept_releases: int = Field(ge=1, le=10)
    staging_header: bool
    request_log_length: int = Field(ge=0, le=1_000_000)
    values_log_share: float = Field(ge=0, le=1)
    values_log_length: int = Field(ge=0, le=1_000_000)
    values_check_s: float = Field(gt=0, le=86_400)
    max_waiting: int = Field(ge=0, le=10_000)
    max_wait_ms: float = Field(gt=0, le=60_000)
    event_id_hours: float = Field(gt=0, le=720)
    fsync: bool
    store_timeout_ms: int = Field(ge=1, le=60_000)
    session_ttl_minutes: int = Field(ge=1, le=1440)
    session_length: int = Field(ge=1, le=1000)
    recent_ttl_hours: int = Field(ge=1, le=8760)
    recent_length: int = Field(ge=1, le=1000)
