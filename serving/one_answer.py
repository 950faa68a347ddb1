"""One answer by the release in production, without a server: what the command line prints."""

from __future__ import annotations

from contracts.errors import SettingsError, UnknownId
from contracts.home import Home
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from release.bundle.bundle import Release
from serving.known_ids import check_known
from serving.served import Served
from serving.served_now import served_now


def answer_once(home: Home, settings: Settings, request: RecommendRequest) -> Slate:
    """The slate a server would answer.

    Raises UnknownId also for a person the store has never heard of: on a command line that is a slip of the finger,
    where a server answers as to a newcomer. Raises SettingsError when more items are wanted than the release answers,
    StoreError when nothing is in production, or Redis is away.
    """
    with served_now(home, settings) as served:
        _check_length(served.release, request)
        check_known(served.release, request)
        _check_person(served, request)
        return served.answer(request)


def _check_length(release: Release, request: RecommendRequest) -> None:
    most = release.request.max_k
    if request.k > most:
        raise SettingsError(
            f"{request.k} items are wanted; release {release.release_id} answers at most {most} (request.max_k).",
            f"Ask for -k {most} or less.",
        )


def _check_person(served: Served, request: RecommendRequest) -> None:
    if request.user_id is None:
        return
    person = served.reader.read_person(request.user_id, None, served.clock.now())
    if not person.features.known.any() and not len(person.history):
        raise UnknownId(
            f"Release {served.release.release_id} knows no person {request.user_id!r}.",
            "Send one from data/valid/users.parquet; for a newcomer leave --user out and say --like or --category.",
        )
