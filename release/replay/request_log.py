"""Reading the request log for what is answered again."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import ArtefactError, DataTooSmall
from feature_store.online.connection import Client
from feature_store.online.event_stream import latest_records
from feature_store.online.keys import requests_key
from release.replay.logged_answer import LoggedAnswer, parse_answer


def latest_answers(client: Client, app: str, n_answers: int) -> tuple[list[LoggedAnswer], int]:
    """What was answered last, oldest first, and how many records beside them do not tell what was answered.

    Raises DataTooSmall where the log is empty, ArtefactError naming a record that is none of ours.
    """
    records = latest_records(client, requests_key(app), n_answers)
    if not records:
        raise DataTooSmall(
            f"The request log {requests_key(app)} is empty: no server was asked anything since it is kept.",
            "Let a server answer some (`slate serve`, with `serving.request_log_length` above 0), then ask again.",
        )
    parsed = [parse_answer(record) for record in records]
    answers = [one for one in parsed if one is not None]
    return answers, len(parsed) - len(answers)


def logged_answer(client: Client, app: str, request_id: str, n_records: int) -> LoggedAnswer:
    """What one request was answered; the latest of several of that id. n_records: as many as the log is set to keep.

    Raises ArtefactError where the log does not hold it, or does not tell what it was answered.
    """
    # A stream is cut off by whole nodes, so that it may hold some more than it is set to.
    records = latest_records(client, requests_key(app), 2 * n_records + 1000)
    own = [record for record in records if request_id.encode() in record]
    for record in reversed(own):
        answer = parse_answer(record)
        if answer is not None and answer.request.request_id == request_id:
            return answer
    raise ArtefactError(_not_there(app, request_id, records, own), _what_to_do(n_records))


def _not_there(app: str, request_id: str, records: Sequence[bytes], own: Sequence[bytes]) -> str:
    log = f"The request log {requests_key(app)}"
    if own:
        return (
            f"{log} does not tell what request {request_id!r} was answered: the store was away, or a server of before "
            "answered it."
        )
    return f"{log} holds no request {request_id!r}: it is none of the latest {len(records):,}, all that are kept."


def _what_to_do(n_records: int) -> str:
    return (
        f"The log keeps the latest {n_records:,} (serving.request_log_length), and none that was shed under load. "
        "To ask the same now: `slate why --user ID`."
    )
