"""One answer by the release in production, without a server: what the command line prints."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import UnknownId
from contracts.home import Home
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from release.answering.placing import most_items
from release.answering.request_limits import check_id, check_length
from release.bundle.bundle import Release
from serving.current_release import served_now
from serving.known_ids import check_known
from serving.served import Served


def answer_once(home: Home, settings: Settings, request: RecommendRequest) -> Slate:
    """The slate a server would answer.

    Raises UnknownId also for a person the store has never heard of: on a command line that is a slip of the finger,
    where a server answers as to a newcomer. Raises WrongInput for what HTTP would not take either,
    StoreError when nothing is in production, or Redis is away.
    """
    return answer_each(home, settings, [request])[0]


def answer_each(home: Home, settings: Settings, requests: Sequence[RecommendRequest]) -> list[Slate]:
    """As `answer_once` for each of several requests, all of one release and generation."""
    with served_now(home, settings) as served:
        for request in requests:
            _check_bounds(served.release, request)
            check_known(served.release, request)
            _check_person(served, request)
        return [served.answer(request) for request in requests]


def _check_bounds(release: Release, request: RecommendRequest) -> None:
    check_length(request.k, most_items(release, request), release.release_id)
    named = {"the person": request.user_id, "the session": request.session_id, "the item": request.item_id}
    for what, value in named.items():
        if value is not None:
            check_id(value, what)
    for item_id in request.preferences.item_ids:
        check_id(item_id, "a liked item")


def _check_person(served: Served, request: RecommendRequest) -> None:
    if request.user_id is None:
        return
    person = served.reader.read_person(request.user_id, None, served.clock.now())
    if not person.features.known.any() and not len(person.history):
        raise UnknownId(
            f"Release {served.release.release_id} knows no person {request.user_id!r}.",
            "Send one from data/valid/users.parquet; for a newcomer leave --user out and say --like or --category.",
        )
