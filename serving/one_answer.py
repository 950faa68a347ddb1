"""One answer by the release in production, without a server: what the command line prints."""

from __future__ import annotations

from contracts.errors import SettingsError, UnknownId
from contracts.home import Home
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from feature_store.server.embedded_redis import online_store
from release.bundle.bundle import Release
from serving.known_ids import check_known
from serving.live.clocks import clock_maker
from serving.live.production import OnlineProduction
from serving.live.store_state import NO_RELEASE
from serving.served import Arm, Served


def answer_once(home: Home, settings: Settings, request: RecommendRequest) -> Slate:
    """The slate a server would answer.

    Raises UnknownId also for a person the store has never heard of: on a command line that is a slip of the finger,
    where a server answers as to a newcomer. Raises SettingsError when more items are wanted than the release answers,
    StoreError when nothing is in production, or Redis is away.
    """
    with online_store(home):
        production = OnlineProduction(home, settings.app, settings.serving)
        pointer = production.pointer()
        if pointer is None:
            raise NO_RELEASE
        release = production.load(pointer.release_id)
        reader = production.reader(release, pointer.generation_id)
        served = Served(Arm.PRODUCTION, release, reader, clock_maker(settings.serving.clock)(release), online=True)
        _check_length(release, request)
        check_known(release, request)
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
