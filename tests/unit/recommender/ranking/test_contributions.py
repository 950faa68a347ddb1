"""What each feature adds to a score: LightGBM's own `pred_contrib`, and Shapley's formula, are the oracles."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from contracts.errors import ShapeMismatch
from contracts.ids import FloatArray
from recommender.ranking.contributions import TreePaths
from recommender.ranking.model_text import Tree, parsed_trees, trees_of
from recommender.ranking.quick_trees import probe_rows
from recommender.ranking.ranker import Ranker, RankingRows
from tests.recommender_worlds import RANKING_SETTINGS

N_QUERIES, GROUP, N_FEATURES = 60, 20, 5


def made_up_rows() -> RankingRows:
    """Rows of features with many missing values and zeros."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(N_QUERIES * GROUP, N_FEATURES)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[rng.random(values.shape) < 0.2] = 0
    labels = (np.nan_to_num(values[:, 0]) * np.nan_to_num(values[:, 1]) > 0.3).astype(np.int32)
    return RankingRows(
        tuple(f"f{number}" for number in range(N_FEATURES)),
        values,
        labels,
        np.full(N_QUERIES, GROUP, np.int32),
        np.repeat(np.arange(4) * 1000, N_QUERIES // 4),
        np.ones(N_QUERIES),
    )


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Ranker:
    folder = tmp_path_factory.mktemp("ranker")
    settings = RANKING_SETTINGS.model_copy(update={"n_leaves": 15})
    Ranker.fit(made_up_rows(), settings, 7, {}).save(folder)
    return Ranker.load(folder)


@pytest.fixture(scope="module")
def asked(ranker: Ranker) -> FloatArray:
    """Rows as trained on, and rows on, below and above the thresholds."""
    return np.concatenate([made_up_rows().values[:40], probe_rows(ranker.text, N_FEATURES)])


def test_they_are_those_of_lightgbm(ranker: Ranker, asked: FloatArray) -> None:
    expected = ranker.booster.predict(asked, pred_contrib=True, num_threads=1)
    assert np.abs(ranker.contributions(asked) - expected).max() < 1e-12


def test_a_rows_contributions_sum_to_its_score(ranker: Ranker, asked: FloatArray) -> None:
    sums, scores = ranker.contributions(asked).sum(axis=1), ranker.score(asked)
    assert np.abs(sums - scores).max() <= np.spacing(np.abs(scores).max())  # of a 32-bit score


def test_infinities_go_where_lightgbm_sends_them(ranker: Ranker) -> None:
    rows = np.array([[np.inf] * N_FEATURES, [-np.inf] * N_FEATURES], np.float32)
    expected = ranker.booster.predict(rows, pred_contrib=True, num_threads=1)
    assert np.abs(ranker.contributions(rows) - expected).max() < 1e-12


@pytest.mark.parametrize("missing", [{"zero_as_missing": True}, {"use_missing": False}, {}])
def test_whatever_counts_as_missing_when_it_is_learnt(missing: dict[str, bool]) -> None:
    rows = made_up_rows()
    learnt = lgb.Dataset(rows.values, rows.labels, group=rows.group_sizes, params=missing)
    parameters = {"objective": "lambdarank", "verbose": -1, "num_leaves": 9, "num_threads": 1, **missing}
    booster = lgb.train(parameters, learnt, num_boost_round=20)
    asked = rows.values[:200]
    found = TreePaths.of(trees_of(booster.model_to_string(), N_FEATURES)).contributions(asked)
    assert np.abs(found - booster.predict(asked, pred_contrib=True)).max() < 1e-12


def test_a_row_has_the_same_bits_alone_and_among_others(ranker: Ranker, asked: FloatArray) -> None:
    together = ranker.contributions(asked)
    alone = np.concatenate([ranker.contributions(asked[at : at + 1]) for at in range(len(asked))])
    assert together.tobytes() == alone.tobytes()


def test_they_follow_shapleys_formula(ranker: Ranker, asked: FloatArray) -> None:
    """The definition itself, over every set of features, of one tree: what its features add on average."""
    (tree, *_) = parsed_trees(ranker.text)
    row = asked[0]
    found = TreePaths.of(only_first_tree(ranker.text)).contributions(row[None])[0]
    others = {feature: [f for f in range(N_FEATURES) if f != feature] for feature in range(N_FEATURES)}
    for feature in range(N_FEATURES):
        expected = 0.0
        for size in range(N_FEATURES):
            weight = factorial(size) * factorial(N_FEATURES - size - 1) / factorial(N_FEATURES)
            for known in combinations(others[feature], size):
                gain = expected_value(tree, row, {*known, feature}) - expected_value(tree, row, set(known))
                expected += weight * gain
        assert found[feature] == pytest.approx(expected, abs=1e-14)
    assert found[-1] == pytest.approx(expected_value(tree, row, set()), abs=1e-14)


def test_a_tree_that_is_one_leaf_is_the_base(ranker: Ranker) -> None:
    leaf = (
        "num_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\nleft_child=\nright_child=\n"
    )
    body = f"Tree=0\n{leaf}leaf_value=0.25\nleaf_weight=\nleaf_count=\ninternal_value=\ninternal_weight=\n"
    body += "internal_count=\nis_linear=0\nshrinkage=1\n\n\n"
    head = ranker.text.partition("\n\n")[0].rpartition("tree_sizes=")[0]
    found = TreePaths.of(trees_of(f"{head}tree_sizes={len(body)}\n\n{body}end of trees\n", N_FEATURES))
    assert found.contributions(np.zeros((1, N_FEATURES), np.float32)).tolist() == [[0, 0, 0, 0, 0, 0.25]]


def test_no_rows_have_no_contributions(ranker: Ranker) -> None:
    assert ranker.contributions(np.empty((0, N_FEATURES), np.float32)).shape == (0, N_FEATURES + 1)


def test_rows_of_another_width_are_refused(ranker: Ranker) -> None:
    with pytest.raises(ShapeMismatch, match=r"shape \(1, 3\)"):
        ranker.contributions(np.zeros((1, 3), np.float32))


def test_a_ranker_just_learnt_has_them_too(tmp_path: Path) -> None:
    learnt = Ranker.fit(made_up_rows(), RANKING_SETTINGS, 7, {})
    learnt.save(tmp_path)
    rows = made_up_rows().values[:5]
    assert learnt.contributions(rows).tolist() == Ranker.load(tmp_path).contributions(rows).tolist()


def only_first_tree(text: str) -> str:
    end = text.find("Tree=1\n")
    return text if end == -1 else f"{text[:end]}end of trees\n"


def expected_value(tree: Tree, row: FloatArray, known: set[int], split: int = 0) -> float:
    """What a tree says of a row of which only these features are known: both sides count by their training rows."""
    if split < 0:
        return tree.leaf_values[-split - 1]
    children = tree.left[split], tree.right[split]
    if tree.features[split] in known:
        return expected_value(tree, row, known, children[0 if goes_left(tree, row, split) else 1])
    counts = [n_rows(tree, child) for child in children]
    values = [expected_value(tree, row, known, child) for child in children]
    return (counts[0] * values[0] + counts[1] * values[1]) / sum(counts)


def n_rows(tree: Tree, split: int) -> int:
    if split < 0:
        return tree.leaf_counts[-split - 1]
    return n_rows(tree, tree.left[split]) + n_rows(tree, tree.right[split])


def goes_left(tree: Tree, row: FloatArray, split: int) -> bool:
    value, decision = row[tree.features[split]], tree.decisions[split]
    if np.isnan(value):
        if decision >> 2 == 2:
            return bool(decision & 2)
        value = np.float32(0)
    return bool(np.float64(value) <= tree.thresholds[split])
