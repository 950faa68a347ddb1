from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from contracts.artefact import load_meta, save_artefact
from contracts.errors import ArtefactError, DataTooSmall, ReleaseMismatch, ShapeMismatch
from recommender.ranking.ranker import KIND, MODEL, Ranker, RankingRows, _best_n_trees, _latest_quarter
from recommender.ranking.ranker_report import write_ranker_report
from tests.recommender_worlds import RANKING_SETTINGS

BUILT_WITH = {"generators": "9e4e", "feature schemas": "5c4e"}
GROUP = 20


def rows(n_snapshots: int = 4, n_queries: int = 30, seed: int = 0) -> RankingRows:
    """Queries of 20 candidates, where what is wanted has the largest `telling`; `noise` tells nothing."""
    rng = np.random.default_rng(seed)
    n_groups = n_snapshots * n_queries
    values = rng.random((n_groups * GROUP, 2)).astype(np.float32)
    best = values[:, 0].reshape(n_groups, GROUP).argsort(axis=1)[:, -3:]
    labels = np.zeros((n_groups, GROUP), np.int32)
    np.put_along_axis(labels, best, 1, axis=1)
    return RankingRows(
        ("telling", "noise"),
        values,
        labels.ravel(),
        np.full(n_groups, GROUP, np.int32),
        np.repeat(np.arange(n_snapshots) * 1000, n_queries),
        np.ones(n_groups),
    )


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.fit(rows(), RANKING_SETTINGS, seed=7, built_with=BUILT_WITH)


def test_what_is_wanted_is_scored_higher_than_what_is_not(ranker):
    unseen = rows(seed=99)
    scores = ranker.score(unseen.values)
    assert scores[unseen.labels == 1].min() > np.median(scores[unseen.labels == 0])


def test_labels_that_mean_nothing_teach_nothing():
    shuffled = rows()
    labels = np.random.default_rng(5).permuted(shuffled.labels.reshape(-1, GROUP), axis=1).ravel()
    learnt = Ranker.fit(replace(shuffled, labels=labels), RANKING_SETTINGS, seed=7, built_with=BUILT_WITH)
    unseen = rows(seed=99)
    scores = learnt.score(unseen.values)
    # The chance that a wanted row outscores another one: a half where nothing was learnt.
    order = np.argsort(np.argsort(scores))
    wanted = unseen.labels == 1
    auc = (order[wanted].sum() - wanted.sum() * (wanted.sum() - 1) / 2) / (wanted.sum() * (~wanted).sum())
    assert 0.35 < auc < 0.65


def test_equal_rows_settings_and_seed_give_an_equal_model_and_another_seed_another(tmp_path: Path):
    settings = RANKING_SETTINGS.model_copy(update={"row_share": 0.5})
    saved = {
        name: Ranker.fit(rows(), settings, seed, BUILT_WITH).save(tmp_path / name).fingerprint
        for name, seed in (("one", 7), ("again", 7), ("other", 8))
    }
    assert saved["one"] == saved["again"] != saved["other"]


def test_the_model_does_not_depend_on_how_many_threads_learnt_it(monkeypatch):
    models = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr("recommender.ranking.ranker.TRAINING_THREADS", n_threads)
        booster = Ranker.fit(rows(), RANKING_SETTINGS, 7, BUILT_WITH).booster
        models.append(booster.model_to_string().replace(f"[num_threads: {n_threads}]", "[num_threads: 0]"))
    assert models[0] == models[1] == models[2]


def test_the_number_of_trees_is_chosen_on_the_latest_snapshots():
    distinct_texts = rows(n_snapshots=4)
    late = distinct_texts.moments == distinct_texts.moments.max()
    # In the last snapshot the feature means the opposite: what is learnt before does harm there from the first tree.
    labels = distinct_texts.labels.copy()
    late_rows = np.repeat(late, distinct_texts.group_sizes)
    reversed_best = (-distinct_texts.values[late_rows, 0]).reshape(-1, GROUP).argsort(axis=1)[:, -3:]
    late_labels = np.zeros((late.sum(), GROUP), np.int32)
    np.put_along_axis(late_labels, reversed_best, 1, axis=1)
    labels[late_rows] = late_labels.ravel()
    chosen = Ranker.fit(replace(distinct_texts, labels=labels), RANKING_SETTINGS, 7, BUILT_WITH)
    assert chosen.n_trees < Ranker.fit(distinct_texts, RANKING_SETTINGS, 7, BUILT_WITH).n_trees


def test_the_latest_quarter_of_the_snapshots_is_held_back():
    moments = np.array([7, 1, 2, 3, 8, 4, 5, 6, 8])
    assert moments[_latest_quarter(moments)].tolist() == [7, 8, 8]
    assert _latest_quarter(np.array([1, 2, 2])).tolist() == [False, True, True]


def test_the_number_of_trees_is_the_middle_of_the_best_stretch_and_not_a_lone_peak():
    plateau = [0.1] * 30 + [0.3] * 21 + [0.1] * 30  # best around tree 41, the middle of trees 31 to 51
    plateau[70] = 0.9
    assert _best_n_trees(tuple(plateau)) == 41
    assert _best_n_trees((0.1, 0.2, 0.3)) == 2  # too short to smooth: the middle of all


def test_one_snapshot_is_too_few():
    with pytest.raises(DataTooSmall, match="1 snapshot"):
        Ranker.fit(rows(n_snapshots=1), RANKING_SETTINGS, 7, BUILT_WITH)


def test_importance_is_the_share_of_gain_the_telling_feature_first(ranker):
    importance = ranker.importance()
    assert list(importance) == ["telling", "noise"]
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["telling"] > 0.8


def test_no_rows_have_no_scores(ranker):
    assert ranker.score(np.empty((0, 2), np.float32)).shape == (0,)


def test_rows_of_another_width_are_refused(ranker):
    with pytest.raises(ShapeMismatch, match="2 features"):
        ranker.score(np.zeros((4, 3), np.float32))


def test_other_columns_or_another_order_are_refused_and_both_are_printed(ranker):
    ranker.check_features(("telling", "noise"))
    with pytest.raises(ReleaseMismatch, match=r"\['telling', 'noise'\], but is given \['noise', 'telling'\]"):
        ranker.check_features(("noise", "telling"))


def test_saved_and_loaded_it_scores_the_same_and_says_what_it_was_built_with(ranker, tmp_path: Path):
    ranker.save(tmp_path)
    loaded = Ranker.load(tmp_path)
    np.testing.assert_array_equal(loaded.score(rows().values), ranker.score(rows().values))
    assert loaded.built_with == BUILT_WITH
    assert loaded.feature_names == ranker.feature_names
    assert loaded.n_trees == ranker.n_trees


def test_a_truncated_model_is_refused(ranker, tmp_path: Path):
    ranker.save(tmp_path)
    content = (tmp_path / MODEL).read_bytes()
    (tmp_path / MODEL).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtefactError, match="damaged"):
        Ranker.load(tmp_path)


@pytest.mark.parametrize("content", ["", "no model", "tree\nversion=v4\nnum_class=x\n"])
def test_text_that_is_no_model_is_an_error_also_where_the_meta_agrees(ranker, tmp_path: Path, content):
    values = load_meta_values(ranker, tmp_path)
    (tmp_path / MODEL).write_text(content)
    save_artefact(tmp_path, KIND, built_with=BUILT_WITH, values=values)
    with pytest.raises(ArtefactError, match=r"model\.txt is damaged"):
        Ranker.load(tmp_path)


def test_a_model_of_other_features_than_its_meta_names_is_refused(ranker, tmp_path: Path):
    values = load_meta_values(ranker, tmp_path)
    save_artefact(tmp_path, KIND, built_with=BUILT_WITH, values={**values, "feature_names": ["telling", "loud"]})
    with pytest.raises(ReleaseMismatch, match="loud"):
        Ranker.load(tmp_path)


def load_meta_values(ranker: Ranker, folder: Path) -> dict:
    ranker.save(folder)
    return load_meta(folder, KIND).values


class TestReport:
    def test_importance_and_curve_can_be_read_by_people_and_by_dvc(self, ranker, tmp_path: Path):
        write_ranker_report(tmp_path, ranker)
        with (tmp_path / "importance.csv").open() as file:
            table = list(csv.DictReader(file))
        assert [row["feature"] for row in table] == ["telling", "noise"]
        assert json.loads((tmp_path / "importance.json").read_text())["telling"] > 0.8
        with (tmp_path / "learning_curve.csv").open() as file:
            curve = list(csv.DictReader(file))
        assert [int(row["trees"]) for row in curve] == list(range(1, len(curve) + 1))
        assert float(curve[-1]["held_back_ndcg"]) == pytest.approx(ranker.curve.held_back[-1], abs=1e-6)

    def test_equal_rankers_give_equal_files(self, ranker, tmp_path: Path):
        for folder in ("one", "two"):
            write_ranker_report(tmp_path / folder, ranker)
        names = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert names == ["importance.csv", "importance.json", "importance.png", "learning_curve.csv"]
        for name in names:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_the_plot_names_no_version_of_what_drew_it(self, ranker, tmp_path: Path):
        write_ranker_report(tmp_path, ranker)
        content = (tmp_path / "importance.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert b"Matplotlib" not in content

    def test_what_somebody_set_up_for_their_own_plots_changes_no_byte(self, ranker, tmp_path: Path):
        write_ranker_report(tmp_path / "plain", ranker)
        with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
            write_ranker_report(tmp_path / "styled", ranker)
        plain, styled = ((tmp_path / folder / "importance.png").read_bytes() for folder in ("plain", "styled"))
        assert plain == styled

    def test_the_report_is_covered_by_the_rankers_meta(self, ranker, tmp_path: Path):
        write_ranker_report(tmp_path, ranker)
        ranker.save(tmp_path)
        (tmp_path / "importance.csv").write_text("feature,share_of_gain\nlies,1\n")
        with pytest.raises(ArtefactError, match=r"importance\.csv is damaged"):
            Ranker.load(tmp_path)


def test_a_query_counts_by_its_weight():
    """Half of the queries want the largest `telling`, the others the smallest; the ranker follows those that count."""
    upwards, downwards = rows(seed=1), rows(seed=2)
    best = downwards.values[:, 0].reshape(-1, GROUP).argsort(axis=1)[:, :3]
    labels = np.zeros((len(best), GROUP), np.int32)
    np.put_along_axis(labels, best, 1, axis=1)
    learnt = {}
    for heavier in ("up", "down"):
        mixed = RankingRows(
            upwards.names,
            np.concatenate([upwards.values, downwards.values]),
            np.concatenate([upwards.labels, labels.ravel()]),
            np.concatenate([upwards.group_sizes, downwards.group_sizes]),
            np.concatenate([upwards.moments, downwards.moments]),
            np.repeat([9.0, 1.0] if heavier == "up" else [1.0, 9.0], len(upwards.group_sizes)),
        )
        low, high = Ranker.fit(mixed, RANKING_SETTINGS, 7, {}).score(np.array([[0.05, 0.5], [0.95, 0.5]], np.float32))
        learnt[heavier] = "up" if high > low else "down"
    assert learnt == {"up": "up", "down": "down"}


def of_a_generator(name: str) -> RankingRows:
    """One feature, named `name`: one half of the queries wants its largest values, the other its smallest."""
    learnt = rows()
    half = len(learnt.values) // 2
    learnt.values[half:, 0] = 1 - learnt.values[half:, 0]
    return replace(learnt, names=(name, "noise"))


@pytest.mark.parametrize(("name", "falls"), [("score_als", False), ("rank_als", True), ("pair_rank_best", True)])
def test_monotone_a_better_word_of_a_generator_never_lowers_a_score(name: str, falls: bool):
    settings = RANKING_SETTINGS.model_copy(update={"monotone": True})
    learnt = of_a_generator(name)
    grid = np.column_stack([np.linspace(0, 1, 101), np.full(101, 0.5)]).astype(np.float32)
    steps = np.diff(Ranker.fit(learnt, settings, 7, BUILT_WITH).score(grid))
    assert ((steps <= 0) if falls else (steps >= 0)).all()
    free = np.diff(Ranker.fit(learnt, RANKING_SETTINGS, 7, BUILT_WITH).score(grid))
    assert (free < 0).any()
    assert (free > 0).any()


def test_a_monotone_ranker_is_saved_and_loaded_with_the_same_scores(tmp_path: Path):
    settings = RANKING_SETTINGS.model_copy(update={"monotone": True})
    fitted = Ranker.fit(of_a_generator("score_als"), settings, 7, BUILT_WITH)
    fitted.save(tmp_path)
    assert "\nmonotone_constraints=1 0\n" in (tmp_path / MODEL).read_text(encoding="utf-8")
    loaded = Ranker.load(tmp_path)
    assert loaded.quick is not None
    np.testing.assert_array_equal(loaded.score(rows().values), fitted.score(rows().values))


def test_of_the_unwanted_a_share_is_kept_and_of_the_wanted_all():
    every = rows()
    third = every.with_unwanted(1 / 3, np.random.default_rng(7))
    assert third.labels.sum() == every.labels.sum()
    assert (third.labels == 0).sum() == pytest.approx((every.labels == 0).sum() / 3, rel=0.05)
    ends = np.cumsum(third.group_sizes)[:-1]
    assert [part.sum() for part in np.split(third.labels, ends)] == [3] * len(third.group_sizes)
    assert third.values.shape == (third.group_sizes.sum(), 2)
    wanted_of = [part.reshape(-1, 2)[:, 0].min() for part in np.split(third.values[third.labels == 1], len(ends) + 1)]
    assert wanted_of == [part[:, 0].min() for part in np.split(every.values[every.labels == 1], len(ends) + 1)]
    assert every.with_unwanted(1, np.random.default_rng(7)) is every


def test_a_ranker_of_a_share_of_the_unwanted_still_tells_them_apart():
    settings = RANKING_SETTINGS.model_copy(update={"unwanted_share": 0.3})
    unseen = rows(seed=99)
    scores = Ranker.fit(rows(), settings, 7, BUILT_WITH).score(unseen.values)
    assert scores[unseen.labels == 1].min() > np.median(scores[unseen.labels == 0])
    assert not np.array_equal(scores, Ranker.fit(rows(), RANKING_SETTINGS, 7, BUILT_WITH).score(unseen.values))


def test_each_tree_is_told_with_how_many_are_to_come_and_the_last_is_the_last():
    told = []
    ranker = Ranker.fit(rows(), RANKING_SETTINGS, 7, BUILT_WITH, on_tree=lambda *counts: told.append(counts))
    learnt, most = zip(*told, strict=True)
    assert learnt == tuple(range(1, len(told) + 1))
    assert told[0] == (1, 2 * RANKING_SETTINGS.n_trees)
    assert learnt[-1] == most[-1] == len(ranker.curve.held_back) + ranker.n_trees
