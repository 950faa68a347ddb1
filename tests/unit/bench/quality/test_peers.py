"""What peers are given, what they may answer, how they are tuned, and that one that is missing is never beaten."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML

from bench.quality.comparison import Measured, measure
from bench.quality.figures import figures_of_comparison, metrics_of, table_rows
from bench.quality.peer_environments import INSTALLED, NotInstalled, python_of, telling_words
from bench.quality.peer_registry import PEERS, Peer
from bench.quality.peer_runs import Exam, PeerFailed, Tuned, check_lists, tune
from bench.quality.peers.ease import fit, item_weights
from bench.quality.peers.exchange import Train, best_unseen, lists_path, write_lists
from bench.quality.windows import every_window, validation_of
from bench.quality.workspace import CHECKOUT, Workspace
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.paths import VALID
from pipelines.rolling.last_window import LOG, log_read
from recommender.judging.hits import Hits, ndcg
from recommender.ragged import RaggedItems
from tests.release_worlds import small_settings
from tests.worlds import small_world

EASE = PEERS[0]
CHANGES = {"n_snapshots": 2, "snapshot_step_share": 0.15}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small_settings(features=CHANGES, rolling={"n_windows": 3, "n_seeds": 1})


@pytest.fixture(scope="module")
def world() -> CanonicalTables:
    return small_world(n_users=24, n_items=20, n_events=1200)


def train(*pairs: tuple[str, str]) -> Train:
    users, items = (np.array(column) for column in zip(*pairs, strict=True))
    user_ids, user = np.unique(users, return_inverse=True)
    item_ids, item = np.unique(items, return_inverse=True)
    return Train(user_ids, item_ids, user, item, np.arange(len(pairs)), np.ones(len(pairs)))


class TestEase:
    def test_each_item_is_told_from_the_others_by_a_ridge_regression_without_itself(self) -> None:
        rng = np.random.default_rng(3)
        touched = (rng.random((30, 6)) < 0.4).astype(float)
        weights = item_weights(touched.T @ touched, 2.0)
        for item in range(6):  # the slow oracle: the constraint that an item does not tell itself, column by column
            others = [other for other in range(6) if other != item]
            x = touched[:, others]
            expected = np.linalg.solve(x.T @ x + 2.0 * np.eye(5), x.T @ touched[:, item])
            assert weights[others, item] == pytest.approx(expected)
            assert weights[item, item] == 0

    def test_what_goes_with_what_was_touched_comes_first(self) -> None:
        known = train(("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "a"), ("x", "c"))
        assert fit(known, {"regularization": 1.0}, 7)(["w"], 2) == [["b", "c"]]


def test_what_was_seen_is_never_listed_and_a_list_may_be_short() -> None:
    known = train(("u", "a"), ("u", "b"), ("v", "c"))
    recommend = best_unseen(known, lambda users: np.tile([3.0, 2.0, 1.0], (len(users), 1)), block=1)
    assert recommend(["v", "u"], 2) == [["a", "b"], ["c"]]


def test_peers_learn_from_what_lies_before_a_window_and_are_asked_about_who_came_back_in_it(
    settings: Settings, world: CanonicalTables
) -> None:
    split = every_window(world, settings)[1]
    exam = Exam.of(settings, world, split)
    before = world.interactions.filter(pl.col("event_ts") < split.test_start)
    assert sorted(exam.train.select("user_id", "item_id").rows()) == sorted(before.select("user_id", "item_id").rows())
    in_window = world.interactions.filter(pl.col("event_ts").is_between(split.test_start, split.as_of, closed="left"))
    for case in exam.cases:
        wanted = set(in_window.filter(pl.col("user_id") == case.user_id)["item_id"])
        assert set(exam.judge.item_ids.external(case.relevant)) == wanted  # each item once in this world
    assert {case.user_id for case in exam.cases} == set(in_window["user_id"]) & set(before["user_id"])


def test_lists_are_judged_by_position_and_who_has_none_counts_nothing(
    settings: Settings, world: CanonicalTables
) -> None:
    exam = Exam.of(settings, world, every_window(world, settings)[1])
    first, *_ = exam.cases
    wanted = exam.judge.item_ids.external(first.relevant)[0]
    lists = pl.DataFrame({"user_id": [first.user_id], "item_id": [wanted], "position": [1]})
    per_person, covered = exam.judged(lists)
    one = RaggedItems.of([first.relevant[:1]])
    expected = float(ndcg(Hits.of(one, RaggedItems.of([first.relevant])), 10)[0])
    assert per_person["ndcg_at_10"].to_list() == [expected, *[0.0] * (len(exam.cases) - 1)]
    assert expected > 0
    assert covered["coverage_at_10"] == 1 / len(exam.judge.item_ids)


def test_a_list_with_what_was_seen_or_an_item_twice_is_refused(tmp_path: Path) -> None:
    seen = pl.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    for items, words in ((["b", "a"], "1 items that were seen"), (["b", "b"], "and 1 a second time")):
        write_lists(["u"], [items], lists_path(tmp_path, 0))
        with pytest.raises(PeerFailed, match=words):
            check_lists(pl.read_parquet(lists_path(tmp_path, 0)), seen)
    check_lists(pl.DataFrame({"user_id": ["u", "v"], "item_id": ["b", "a"], "position": [1, 1]}), seen)


def test_a_peer_is_tuned_on_the_window_before_and_knows_nothing_of_the_one_that_is_measured(
    settings: Settings, world: CanonicalTables, tmp_path: Path
) -> None:
    split, python = every_window(world, settings)[2], Path(sys.executable)
    tuned = tune(EASE, python, settings, world, split, tmp_path)
    assert tuned.tried[list(EASE.grid).index(tuned.parameters)] == max(tuned.tried) > 0
    before = world.interactions.filter(pl.col("event_ts") < split.test_start)
    without = replace(world, interactions=before)
    again = tune(EASE, python, settings, without, split, tmp_path)
    assert again == tuned
    assert validation_of(split).as_of == split.test_start


def test_a_process_that_fails_says_its_last_words(settings: Settings, world: CanonicalTables, tmp_path: Path) -> None:
    exam, broken = Exam.of(settings, world, every_window(world, settings)[1]), replace(EASE, module="nobody")
    with pytest.raises(PeerFailed, match=r"No module named bench\.quality\.peers\.nobody"):
        exam.ask(broken, Path(sys.executable), [({}, 7)], tmp_path)


class TestEnvironments:
    def test_one_that_is_made_is_taken_and_another_request_makes_it_anew(self, tmp_path: Path) -> None:
        commands: list[list[str]] = []
        made = tmp_path / "peer"

        def run(command: list[str]) -> str:
            commands.append(command)
            (made / "bin").mkdir(parents=True, exist_ok=True)
            return "peer==1.0\n"

        for requirements, n_commands in ((["peer==1.0"], 3), (["peer==1.0"], 3), (["peer==1.0", "other==2"], 6)):
            assert python_of(made, requirements, run) == made / "bin" / "python"
            assert len(commands) == n_commands
        assert (made / INSTALLED).read_text() == "peer==1.0\nother==2\n\npeer==1.0\n"

    def test_of_a_long_failure_the_lines_that_name_the_error_are_told(self) -> None:
        printed = "WARNING: a mirror is ignored\n      AttributeError: no setup\n  note: not a problem with pip.\n"
        assert telling_words(printed) == "AttributeError: no setup"
        assert telling_words("no\nword of it\n") == "no / word of it"

    def test_our_own_needs_none(self, tmp_path: Path) -> None:
        assert python_of(tmp_path / "none", []) == Path(sys.executable)

    def test_what_cannot_be_made_says_why(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(NotInstalled, match="file"):
            python_of(tmp_path / "file" / "peer", ["peer==1.0"])


def test_a_peer_that_is_not_installed_is_told_and_nothing_of_it_is_counted(
    settings: Settings, world: CanonicalTables, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file, where a folder should be")
    world.save(tmp_path / VALID)
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(settings.model_dump(mode="json", by_alias=True), file)
    peer = Peer("absent", "ease", ("absent==1.0",), EASE.grid)
    measured = measure(Workspace(tmp_path, "small"), {}, [7], [peer], tmp_path / "cache")
    assert measured.missing["absent"].startswith("not installed: ")
    assert (measured.rows, measured.costs, measured.tuned) == ([], [], {})


def measured_by_hand(**ndcg_by_system: list[float]) -> Measured:
    """Of two people in one window with one seed; all other metrics are 0."""
    measured, cost = Measured(), {"fit_s": 1.0, "predict_s": 1.0, "fit_processor_s": 2.0, "predict_processor_s": 0.5}
    for system, values in ndcg_by_system.items():
        others = dict.fromkeys(("recall_at_20", "hit_rate_at_10", "mrr_at_10"), 0.0)
        rows = pl.DataFrame({"user_id": ["a", "b"], "ndcg_at_10": values}).with_columns(**others)
        measured.note(1, 7, system, rows, {"coverage_at_10": 0.25})
        measured.costs.append({"system": system, **cost, "peak_mib": 100.0})
        measured.tuned[system] = {1: Tuned({"x": 1}, (0.1,))}
    return measured


class TestFigures:
    BOUNDS: ClassVar = {1: (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))}
    KNOWN = Peer("known", "ease", (), ({"x": 1},))
    WEAK = Peer("weak", "ease", (), ({"x": 1},))
    ABSENT = Peer("absent", "ease", ("absent==1",), ({"x": 1},))

    def test_the_lead_is_over_the_best_peer_and_none_that_is_missing_is_beaten(self, settings: Settings) -> None:
        measured = measured_by_hand(slates=[0.5, 0.5], als=[0.9, 0.9], known=[0.4, 0.3], weak=[0.1, 0.0])
        measured.missing["absent"] = "not installed: it is not there"
        peers = [self.KNOWN, self.WEAK, self.ABSENT]
        figures = figures_of_comparison(measured, settings, self.BOUNDS, [7], peers)
        assert (figures["ndcg_at_10"], figures["best_peer"]) == (0.5, "known")
        assert figures["lead"] == pytest.approx((0.1 + 0.2) / 2)
        assert 0.1 <= figures["lead_low"] <= 0.15
        assert figures["peers"]["absent"] == {"not_measured": "not installed: it is not there"}
        assert set(figures["generators"]) == {"als"}  # our own are no peers
        rows = table_rows(figures, metrics_of(settings))
        assert [row[0] for row in rows] == ["our als alone", "our slates", "known", "weak", "absent"]
        assert rows[-1][1] == "not installed: it is not there"
        assert len({len(row) for row in rows}) == 1

    def test_a_look_at_the_last_window_is_logged_with_its_figures(self, settings: Settings, tmp_path: Path) -> None:
        measured = measured_by_hand(slates=[0.5, 0.3], known=[0.4, 0.3])
        figures = figures_of_comparison(measured, settings, self.BOUNDS, [7], [self.KNOWN])
        shutil.copyfile(CHECKOUT / LOG, tmp_path / "log.md")
        log_read(figures, self.BOUNDS[1][0], "movies", "0123456789abcdef", "figures of a page", tmp_path / "log.md")
        last = (tmp_path / "log.md").read_text().splitlines()[-1]
        assert last.startswith("| 2020-01-01 | movies | 0123456789ab | 7 | 0.400 [0.")

    def test_without_any_peer_there_is_no_lead(self, settings: Settings) -> None:
        measured = measured_by_hand(slates=[0.5, 0.5], als=[0.1, 0.2])
        measured.missing["absent"] = "failed: it died"
        figures = figures_of_comparison(measured, settings, self.BOUNDS, [7], [self.ABSENT])
        assert (figures["best_peer"], figures["lead"], figures["lead_low"]) == (None, None, None)
