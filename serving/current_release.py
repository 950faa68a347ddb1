"""What is in production now, for whoever looks once and is no server: the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.server.embedded_redis import online_store
from serving.live.clocks import clock_maker
from serving.live.production import OnlineProduction
from serving.live.store_state import NO_RELEASE
from serving.served import Arm, Served


@contextmanager
def served_now(home: Home, settings: Settings) -> Iterator[Served]:
    """The release and generation that the pointer names, as a server would answer with them, until the block ends.

    Raises StoreError when nothing is in production, or Redis is away; ArtefactError when the bundle does not load.
    """
    with online_store(home):
        production = OnlineProduction(home, settings.app, settings.serving)
        pointer = production.pointer()
        if pointer is None:
            raise NO_RELEASE
        release = production.load(pointer.release_id)
        reader = production.reader(release, pointer.generation_id)
        yield Served(Arm.PRODUCTION, release, reader, clock_maker(settings.serving.clock)(release), online=True)
