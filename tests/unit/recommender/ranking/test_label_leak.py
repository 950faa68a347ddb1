"""With labels that say nothing the ranker must know nothing: what it still knew would have come from the labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import rankdata

from recommender.ranking.ranker import Ranker, RankingRows
from recommender.ranking.training_rows import build_ranking_rows
from tests.recommender_worlds import RANKING_SETTINGS, START
from tests.unit.recommender.ranking.test_training_rows import ranking_inputs_at
from tests.worlds import small_world

SNAPSHOTS = [START + timedelta(days=days) for days in (40, 50, 60, 70, 80)]
# Where labels say nothing the z of the pairs ordered rightly is standard normal: beyond 4 once in 16,000 seeds.
CHANCE = 4.0


@pytest.fixture(scope="module")
def rows() -> RankingRows:
    tables = small_world(n_users=120, n_items=60, n_events=4000)
    windows = [(moment, moment + timedelta(days=10)) for moment in SNAPSHOTS]
    return build_ranking_rows(ranking_inputs_at(tables, SNAPSHOTS), windows)


def shuffled(rows: RankingRows, seed: int) -> RankingRows:
    """The same rows, and in each query as many wanted items as before, at any of its candidates."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rows.group_sizes)[:-1]
    return replace(rows, labels=np.concatenate([rng.permutation(part) for part in np.split(rows.labels, ends)]))


def knowledge(rows: RankingRows) -> float:
    """How far a ranker of the first snapshots orders the last one's candidates better than chance, in deviations.

    The Mann-Whitney statistic of each query, less its mean under chance, summed over queries and divided by the root of
    the summed variances, n_wanted * n_others * (n + 1) / 12.
    """
    is_last = rows.moments == rows.moments.max()
    ranker = Ranker.fit(rows.of_queries(~is_last), RANKING_SETTINGS, seed=7, built_with={})
    asked = rows.of_queries(is_last)
    ends = np.cumsum(asked.group_sizes)[:-1]
    excess = variance = 0.0
    for scores, labels in zip(np.split(ranker.score(asked.values), ends), np.split(asked.labels, ends), strict=True):
        n_wanted, n = int(labels.sum()), len(labels)
        pairs = n_wanted * (n - n_wanted)
        excess += _ordered_rightly(scores, labels) - pairs / 2
        variance += pairs * (n + 1) / 12
    return float(excess / np.sqrt(variance))


def _ordered_rightly(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int32]) -> float:
    n_wanted = int(labels.sum())
    return float(rankdata(scores)[labels == 1].sum() - n_wanted * (n_wanted + 1) / 2)


def test_a_ranker_of_true_labels_knows_something(rows):
    assert knowledge(rows) > CHANCE


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_ranker_of_shuffled_labels_falls_to_chance(rows, seed):
    assert abs(knowledge(shuffled(rows, seed))) < CHANCE


def test_a_feature_that_has_seen_the_label_would_be_found(rows):
    blind = shuffled(rows, seed=1)
    seen = blind.values.copy()
    seen[:, 0] = blind.labels + np.random.default_rng(5).normal(size=len(seen))  # drowned in as much noise
    assert knowledge(replace(blind, values=seen)) > CHANCE
