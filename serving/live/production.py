"""What is in production, and how to reach it: the pointer and the values in Redis, the bundles on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from contracts.errors import SlateworkError, StoreUnavailable
from contracts.features import FeatureReader
from contracts.home import Home
from contracts.settings.serving import ServingSettings
from feature_store.online.connection import Client, connect, named_url
from feature_store.online.pointer import Pointer, read_pointer
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.online.serving_targets import ServingTargets, read_serving_targets
from feature_store.publishing.completeness import missing_values
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.server.embedded_redis import running
from release.bundle.bundle import Release, load_bundle
from release.bundle.bundle_store import BundleStore
from release.golden.golden_queries import check_golden

Seen = TypeVar("Seen")


class Production(Protocol):
    """Where a server learns what to serve and what it needs for that. Raises StoreUnavailable when Redis is away."""

    def targets(self) -> ServingTargets:
        """The pointer, what stands in Staging and the canary, at one moment; raises StoreError when one is damaged."""
        ...

    def pointer(self) -> Pointer | None:
        """The pointer of record alone; None when there is none."""
        ...

    def load(self, release_id: str) -> Release:
        """The release, checked, its golden queries answered; raises ArtefactError otherwise."""
        ...

    def reader(self, release: Release, generation_id: str) -> FeatureReader:
        """Whoever reads this generation's values for this release."""
        ...

    def lacks(self, release_id: str, generation_id: str, pause: Callable[[], object]) -> SlateworkError | None:
        """What the store lacks of a generation that is served, counted now; None where it lacks nothing.

        pause: called between one small part of the counting and the next.
        """
        ...

    def append_events(self, events: Sequence[RecentEvent]) -> None:
        """Add to what was done in sessions and by people, so that the next request sees it; all or none."""
        ...


class OnlineProduction:
    """Production as it is: one application's keys in Redis, bundles under SLATE_HOME.

    Only a look at the pointer connects, and connects again; everything else uses the connection there is or does
    without, so that whoever looks is the only one who ever waits for a Redis that does not come up.
    """

    def __init__(self, home: Home, app: str, settings: ServingSettings) -> None:
        self._home = home
        self._bundles = BundleStore(home)
        self._app = app
        self._settings = settings
        self._client: Client | None = None

    def client(self) -> Client:
        """The connected client; raises StoreUnavailable when there is none."""
        if self._client is None:
            raise StoreUnavailable("There is no connection to Redis.", "It is made again as soon as Redis answers.")
        return self._client

    def targets(self) -> ServingTargets:
        return self._look(read_serving_targets)

    def pointer(self) -> Pointer | None:
        return self._look(read_pointer)

    def _look(self, read: Callable[[Client, str], Seen]) -> Seen:
        if self._client is None:
            self._client = connect(store_url(self._home), self._settings.store_timeout_ms)
        try:
            return read(self._client, self._app)
        except StoreUnavailable:
            # Ask for the address anew next time: the embedded server may come back on another port.
            self._client = None
            raise

    def load(self, release_id: str) -> Release:
        release = load_bundle(self._bundles.path(release_id))
        check_golden(release)
        return release

    def reader(self, release: Release, generation_id: str) -> FeatureReader:
        return RedisFeatureReader(self.client(), self._app, generation_id, release.schemas, release.catalogue.ids)

    def lacks(self, release_id: str, generation_id: str, pause: Callable[[], object]) -> SlateworkError | None:
        return missing_values(self.client(), self._app, generation_id, release_id, pause)

    def append_events(self, events: Sequence[RecentEvent]) -> None:
        settings = self._settings
        append_events(
            self.client(),
            self._app,
            events,
            session=Retention(settings.session_length, settings.session_ttl_minutes * 60),
            recent=Retention(settings.recent_length, settings.recent_ttl_hours * 3600),
        )


def store_url(home: Home) -> str:
    """Where Redis is: REDIS_URL, else this home's embedded server; raises StoreUnavailable when that does not run."""
    url = named_url() or running(home)
    if url is None:
        raise StoreUnavailable(
            f"The embedded Redis of {home.redis} does not run.", "Start it with `slate up`, or set REDIS_URL."
        )
    return url
