"""A manifest of a release that holds nothing, for tests to fill and change."""

from __future__ import annotations

from release.bundle.manifest import Manifest

MANIFEST_OF_NOTHING = Manifest(
    app="movies",
    generation_id="g-000000000000",
    as_of="2020-04-10T00:00:00+00:00",
    data={"interactions": "a1"},
    code="c0de",
    params={"seed": 7},
    features={"user": ["user_age"], "item": []},
    dimensions={"n_items": 2},
    artefacts={"shipped": {"index": "1"}, "measured": {"index": "2"}},
    golden=0,
    metrics={"ndcg_at_10": 0.25},
    files={},
)
