"""Looks at the store as a server would: is what is served, and what a rollback would go to, there in full?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from contracts.clock import FixedClock
from contracts.errors import PromotionRefused, SlateworkError
from contracts.features import FeatureRows
from contracts.home import Home
from contracts.ids import ItemId, UserId
from contracts.settings.settings import Settings
from feature_store.online.connection import Client
from feature_store.online.pointer import read_pointer
from feature_store.online.receipt import read_receipt
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import FeatureValues
from release.bundle.bundle import Release, load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from release.journal.journal import Journal
from tests.crash.stage_set import Pair, StageSet


class Inspector:
    """Compares every value of a generation in the store with what is kept of it on disk."""

    def __init__(self, client: Client, settings: Settings, home: Home, stage_set: StageSet) -> None:
        self._client = client
        self._app = settings.app
        self._journal = Journal(home, settings.app)
        self._releases: Mapping[str, Release] = {
            release_id: load_bundle(BundleStore(home).path(release_id))
            for release_id in {one for one, _ in stage_set.pairs}
        }
        generations = GenerationStore(home)
        self._values = {pair: FeatureValues.load(generations.path(*pair)) for pair in stage_set.pairs}

    def served(self) -> Pair | None:
        """What the pointer names."""
        pointer = read_pointer(self._client, self._app)
        return (pointer.release_id, pointer.generation_id) if pointer else None

    def losses(self, before: Pair | None) -> list[str]:
        """What is wrong, in sentences: a pointer that is gone, a value that is not what it was, a broken journal.

        before: what was served before whatever happened.
        """
        problems = []
        now = self.served()
        if now is None and before is not None:
            problems.append("the pointer is gone")
        if now is not None:
            problems += self._differences(now, "served")
        problems += self._rollback_differences()
        try:
            self._journal.verify()
        except SlateworkError as error:
            problems.append(str(error))
        return problems

    def agrees(self) -> bool:
        """Whether pointer and journal name the same."""
        entry = self._journal.view().production
        return self.served() == (entry and (entry.release_id, entry.generation_id))

    def _rollback_differences(self) -> list[str]:
        try:
            target = self._journal.view().rollback_target()
        except PromotionRefused:
            return []
        return self._differences((str(target.release_id), str(target.generation_id)), "to roll back to")

    def _differences(self, pair: Pair, what: str) -> list[str]:
        release, values = self._releases[pair[0]], self._values[pair]
        if read_receipt(self._client, self._app, pair[1], pair[0]) is None:
            return [f"{pair} is {what} and has no receipt"]
        item_ids = release.catalogue.ids
        online = RedisFeatureReader(self._client, self._app, pair[1], release.schemas, item_ids)
        offline = OfflineFeatureReader(values, release.schemas, item_ids)
        now = FixedClock(release.as_of).now()
        different = [
            user_id
            for user_id in values.users["user_id"]
            if not _same(*(reader.read_person(UserId(user_id), None, now).features for reader in (online, offline)))
        ]
        asked = [ItemId(item_id) for item_id in item_ids.ids]
        if not _same(online.read_items(asked, now), offline.read_items(asked, now)):
            different.append("items")
        return [f"{pair} is {what}, and of it differ: {different}"] if different else []


def _same(one: FeatureRows, other: FeatureRows) -> bool:
    return bool(np.array_equal(one.values, other.values) and np.array_equal(one.known, other.known))
