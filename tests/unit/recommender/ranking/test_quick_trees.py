"""Trees scored with by another library: to the bit what LightGBM says, or LightGBM itself."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recommender.ranking.quick_trees import N_PROBES, probe_rows, quick_trees
from recommender.ranking.ranker import MODEL, Ranker, RankingRows
from tests.recommender_worlds import RANKING_SETTINGS

N_QUERIES, GROUP, N_FEATURES = 60, 20, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ranker of features with many missing values and zeros."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(N_QUERIES * GROUP, N_FEATURES)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[rng.random(values.shape) < 0.2] = 0
    labels = (np.nan_to_num(values[:, 0]) + np.nan_to_num(values[:, 1]) > 0.8).astype(np.int32)
    rows = RankingRows(
        tuple(f"f{number}" for number in range(N_FEATURES)),
        values,
        labels,
        np.full(N_QUERIES, GROUP, np.int32),
        np.repeat(np.arange(4) * 1000, N_QUERIES // 4),
        np.ones(N_QUERIES),
    )
    folder = tmp_path_factory.mktemp("ranker")
    Ranker.fit(rows, RANKING_SETTINGS, 7, {}).save(folder)
    return folder


def loaded_text(folder: Path) -> str:
    return (folder / MODEL).read_text()


@pytest.mark.parametrize("n_rows", [1, 7, 500])
def test_scores_are_those_of_lightgbm_to_the_bit(folder: Path, n_rows: int) -> None:
    ranker = Ranker.load(folder)
    assert ranker.quick is not None
    rows = np.resize(probe_rows(loaded_text(folder), N_FEATURES), (n_rows, N_FEATURES)) + np.float32(1e-7)
    assert ranker.score(rows).tolist() == ranker.booster.predict(rows, num_threads=1).astype(np.float32).tolist()


def test_the_probe_stands_on_beside_and_away_from_thresholds(folder: Path) -> None:
    rows = probe_rows(loaded_text(folder), N_FEATURES)
    assert rows.shape == (N_PROBES, N_FEATURES)
    assert np.isnan(rows).any()
    assert (rows == 0).any()
    booster = Ranker.load(folder).booster
    split = booster.dump_model()["tree_info"][0]["tree_structure"]
    column = rows[:, split["split_feature"]]
    assert (column <= split["threshold"]).any()
    assert (column > split["threshold"]).any()


def test_rows_with_an_infinity_are_scored_by_lightgbm(tmp_path: Path) -> None:
    """A threshold of infinity divides what is known from what is missing; LightGBM reads it as 1e300."""
    rng = np.random.default_rng(5)
    values = rng.random((N_QUERIES * GROUP, 1)).astype(np.float32)
    values[rng.random(values.shape) < 0.5] = np.nan
    labels = np.isnan(values[:, 0]).astype(np.int32)
    moments = np.repeat(np.arange(4) * 1000, N_QUERIES // 4)
    sizes, weights = np.full(N_QUERIES, GROUP, np.int32), np.ones(N_QUERIES)
    Ranker.fit(RankingRows(("f0",), values, labels, sizes, moments, weights), RANKING_SETTINGS, 7, {}).save(tmp_path)
    assert "inf" in (tmp_path / MODEL).read_text()
    ranker = Ranker.load(tmp_path)
    assert ranker.quick is not None
    asked = np.array([[np.inf], [-np.inf], [0.3], [np.nan]], np.float32)
    assert ranker.score(asked).tolist() == ranker.booster.predict(asked, num_threads=1).astype(np.float32).tolist()


def test_a_threshold_past_the_largest_value_is_probed_just_below_without_a_warning() -> None:
    rows = probe_rows("split_feature=0\nthreshold=1e300\n", 1)
    assert (rows == np.finfo(np.float32).max).any()


def test_a_library_that_scores_one_row_otherwise_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    honest = Ranker.load(folder)

    def predict(rows: np.ndarray, n_jobs: int) -> np.ndarray:
        scores = honest.booster.predict(rows, num_threads=n_jobs)
        scores[3] = np.nextafter(scores[3], 9)
        return scores

    lying = SimpleNamespace(load=lambda *_, **__: SimpleNamespace(predict=predict))
    monkeypatch.setitem(sys.modules, "lignum", lying)
    with caplog.at_level(logging.WARNING):
        assert Ranker.load(folder).quick is None
    assert "of 64 rows lignum scores 1 otherwise" in caplog.text


def test_without_the_library_lightgbm_scores_and_the_log_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = Ranker.load(folder)
    monkeypatch.setitem(sys.modules, "lignum", None)
    with caplog.at_level(logging.WARNING):
        ranker = Ranker.load(folder)
    assert ranker.quick is None
    assert "Ranking with LightGBM, which takes two to five times as long" in caplog.text
    rows = probe_rows(loaded_text(folder), N_FEATURES)
    assert ranker.score(rows).tolist() == expected.score(rows).tolist()


def test_a_model_that_the_library_refuses_is_scored_by_lightgbm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(*_: object, **__: object) -> None:
        raise ValueError("random forests are not supported")

    monkeypatch.setitem(sys.modules, "lignum", SimpleNamespace(load=load))
    assert quick_trees(loaded_text(folder), N_FEATURES, np.zeros(N_PROBES)) is None
    assert "random forests are not supported" in caplog.text
