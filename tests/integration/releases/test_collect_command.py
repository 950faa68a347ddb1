"""`slate collect` as somebody types it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from feature_store.online.connection import connect
from feature_store.publishing.publishing import publish
from feature_store.values.values import FeatureValues
from release.bundle.bundle import load_bundle
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]


def publish_fresher(studio: Studio) -> str:
    """Values that nobody promotes; returns their generation."""
    bundle = studio.home.bundles / studio.registry.version(1).release_id
    release, values = load_bundle(bundle), FeatureValues.load(bundle / "values")
    fresher = replace(values, as_of=values.as_of + timedelta(hours=1))
    app, ids = studio.settings.app, release.catalogue.ids
    with connect(studio.redis_url) as client:
        return publish(client, app, fresher, release.schemas, ids, release.release_id, 1000).generation_id


def test_it_says_what_stays_and_why_and_what_went(slate, studio: Studio) -> None:
    assert slate("collect").stdout == "no generations in the store\n"
    slate("promote", "1")
    fresher = publish_fresher(studio)
    done = json.loads(slate("collect", "--json").stdout)
    assert done["collected"] == []
    assert sorted(one["why"].partition(" at ")[0] for one in done["kept"]) == ["in production", "published"]
    told = slate("collect", "--all-unreferenced").stdout
    assert "in production" in told
    assert f"collected  {fresher}" in told
    assert fresher not in slate("collect").stdout
