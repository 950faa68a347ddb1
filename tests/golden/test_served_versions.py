"""A bundle of every format version is published, served, switched to and rolled back to in a real Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.home import Home
from contracts.ids import UserId
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from feature_store.values.values import FeatureValues
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import FORMAT_VERSION, Manifest, load_manifest
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.promotion import rollback
from release.promotion.switch import open_switch
from serving.current_release import served_now
from tests.release_worlds import small_settings

HERE = Path(__file__).resolve().parent


@pytest.fixture
def home(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that keeps a bundle of each version, with an empty Redis and no registry to tell of anything."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("SLATE_JOURNAL_URL", raising=False)
    monkeypatch.setattr(rollback, "_tell_registry", lambda *_: "")
    home = Home(tmp_path / "home")
    for version in range(1, FORMAT_VERSION + 1):
        BundleStore(home).keep(HERE / f"bundle_v{version}")
    return home


def served(home: Home, settings: Settings, user_id: UserId) -> Slate:
    with served_now(home, settings) as current:
        return current.answer(RecommendRequest("q", user_id=user_id, k=3))


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_bundle_of_every_version_is_switched_to_left_and_rolled_back_to(home: Home, version: int) -> None:
    settings = small_settings(serving={"store_timeout_ms": 10_000})
    folders = [HERE / f"bundle_v{number}" for number in (version, FORMAT_VERSION if version < FORMAT_VERSION else 1)]
    old, other = map(load_manifest, folders)
    somebody = UserId(FeatureValues.load(folders[0] / "values").users["user_id"][0])
    journal = Journal(home, settings.app)

    def promote(number: int, manifest: Manifest) -> None:
        note = Note(Action.PROMOTE, Phase.INTENT, manifest.release_id, manifest.generation_id, number)
        with open_switch(home, settings, journal) as switch:
            switch.move(note)

    promote(1, old)
    slate = served(home, settings, somebody)
    assert (slate.release_id, slate.generation_id, slate.degraded) == (old.release_id, old.generation_id, ())
    assert (slate.tier, len(slate.items)) == ("personal", 3)
    promote(2, other)
    assert served(home, settings, somebody).release_id == other.release_id
    rollback.roll_back(settings, home, journal, requester="ada")
    again = served(home, settings, somebody)
    assert (again.release_id, again.degraded, again.items) == (old.release_id, (), slate.items)
    rollback.roll_back(settings, home, journal, to=other.release_id, requester="ada")
    assert served(home, settings, somebody).release_id == other.release_id
    journal.close()
