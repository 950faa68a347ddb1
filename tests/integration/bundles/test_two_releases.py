"""The second release that benchmarks make of the one built."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import ranking
from bench.two_releases import with_heavy_ranker, with_other_rules, without_a_history
from feature_store.values.values import FeatureValues
from release.bundle.bundle import load_bundle
from release.bundle.manifest import VALUES_FOLDER


def test_it_is_whole_and_has_a_generation_of_its_own_so_that_a_mix_shows(bundle: Path, tmp_path: Path) -> None:
    own = without_a_history(FeatureValues.load(bundle / VALUES_FOLDER))
    newer = load_bundle(with_other_rules(bundle, tmp_path / "newer", 7, own))
    older = load_bundle(bundle)
    assert newer.release_id != older.release_id
    assert newer.generation_id == own.generation_id != older.generation_id


def test_the_one_with_a_heavy_ranker_is_whole_and_ranks_what_the_other_ranks(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ranking.SHAPES, "heavy", (5, 63))
    heavy, older = load_bundle(with_heavy_ranker(bundle, tmp_path / "heavy")), load_bundle(bundle)
    assert heavy.release_id != older.release_id
    assert heavy.ranker.feature_names == older.ranker.feature_names
    assert heavy.ranker.text.count("num_leaves=63") == heavy.ranker.n_trees == 5
    assert heavy.request.quotas == {name: 3 * quota for name, quota in older.request.quotas.items()}
