"""Guests are trained in processes of their own: what is handed over, what is kept, and what is said of a failure."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import ArtefactError, DataTooSmall, EngineMissing, StepInterrupted
from contracts.fingerprint import fingerprint_file
from contracts.home import Home
from contracts.settings.candidates import SequenceSettings
from recommender.generators.base import FitInputs
from recommender.generators.deep import guest as guests
from recommender.generators.deep import sequence, two_tower
from recommender.generators.deep.environments import STAMP, GuestEnvironment
from recommender.generators.deep.guest import Guest, learnt_by
from recommender.generators.deep.sequence import SequenceGenerator
from recommender.generators.deep.trained_vectors import Tastes
from recommender.generators.deep.training.examples import table_seed
from recommender.generators.deep.training.exchange import Checkpoints
from recommender.generators.deep.two_tower import TwoTowerGenerator
from recommender.generators.sets import guests_wanted
from recommender.query import QueryBatch, RetrievalQuery
from tests.recommender_worlds import (
    CANDIDATE_SETTINGS,
    CHECKERBOARD_END,
    DEEP_LEARNT,
    DEEP_SETTINGS,
    checkerboard,
    deep_fitted,
    interactions,
)

NUMBERS = {"numbers": np.array([1.0, 2.5], np.float32)}


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """In an environment that is ours under another name."""
    environment = GuestEnvironment("torch", "make deep", tmp_path / "guests")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    environment.python.chmod(0o755)
    (tmp_path / "guests" / "torch" / STAMP).write_text(fingerprint_file(environment.requirements))
    return Guest(parameter="candidates.twice", module="tests.learning_guest", environment=environment)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"dies": False, "told": str(tmp_path / "told")}


def test_what_was_learnt_is_handed_over_and_not_learnt_again(guest, settings, home: Home):
    for _ in range(2):
        np.testing.assert_array_equal(learnt_by(guest, NUMBERS, settings)["twice"], [2.0, 5.0])
    assert Path(settings["told"]).read_text() == "0 "
    other = {"numbers": NUMBERS["numbers"] + 1}
    np.testing.assert_array_equal(learnt_by(guest, other, settings)["twice"], [4.0, 7.0])
    assert Path(settings["told"]).read_text() == "0 0 "
    for training in home.trainings.iterdir():
        assert sorted(path.name for path in training.iterdir()) == ["learnt", "training.lock"]


def test_a_guest_that_was_killed_says_so_and_goes_on_the_next_time(guest, settings, home: Home):
    settings["dies"] = True
    with pytest.raises(StepInterrupted, match=r"candidates\.twice was ended by signal 9") as told:
        learnt_by(guest, NUMBERS, settings)
    assert "The same command again goes on" in str(told.value)
    np.testing.assert_array_equal(learnt_by(guest, NUMBERS, settings)["twice"], [2.0, 5.0])
    assert Path(settings["told"]).read_text() == "1 "  # an epoch was done


def test_what_is_damaged_is_an_error_and_learnt_again_the_next_time(guest, settings, home: Home):
    learnt_by(guest, NUMBERS, settings)
    (array,) = home.trainings.glob("*/learnt/twice.npy")
    array.write_bytes(array.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        learnt_by(guest, NUMBERS, settings)
    np.testing.assert_array_equal(learnt_by(guest, NUMBERS, settings)["twice"], [2.0, 5.0])


def test_past_the_bound_the_trainings_used_longest_ago_go(guest, settings, home: Home, monkeypatch):
    learnt_by(guest, NUMBERS, settings)
    monkeypatch.setattr(guests, "MOST_BYTES", 1)
    learnt_by(guest, {"numbers": NUMBERS["numbers"] + 1}, settings)
    assert len(list(home.trainings.iterdir())) == 1


def test_without_its_environment_the_error_says_what_to_type(tmp_path: Path, home: Home, monkeypatch):
    monkeypatch.setattr("recommender.generators.deep.sequence.GUEST", elsewhere(sequence.GUEST, tmp_path))
    for engine, guest in two_tower.GUESTS.items():
        monkeypatch.setitem(two_tower.GUESTS, engine, elsewhere(guest, tmp_path))
    world = checkerboard()
    inputs = FitInputs(interactions(("u1", 3, 1), ("u1", 4, 2)), world.catalogue, CHECKERBOARD_END.timestamp(), {}, 7)
    towers = DEEP_SETTINGS["two_tower"]
    for generator, settings, name, environment, command in (
        (SequenceGenerator, DEEP_SETTINGS["sequence"], "sequence", "torch", "make deep"),
        (TwoTowerGenerator, towers, "two_tower", "torch", "make deep"),
        (TwoTowerGenerator, towers.model_copy(update={"engine": "tfrs"}), "two_tower", "tfrs", "make tfrs"),
    ):
        with pytest.raises(EngineMissing) as told:
            generator.fit(inputs, settings)
        assert f"candidates.{name} is trained in the environment `{environment}`, which is not there" in str(told.value)
        assert f"Type `{command}`" in str(told.value)
        assert f"null for candidates.{name} in params.yaml, and no `--set` of it" in str(told.value)


def test_an_environment_of_other_requirements_is_told_apart(tmp_path: Path):
    environment = GuestEnvironment("torch", "make deep", tmp_path)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / STAMP).write_text("of before")
    with pytest.raises(EngineMissing, match="which is of other versions"):
        environment.check_made("candidates.sequence")


@pytest.mark.parametrize(("off", "expected"), [((), ["torch", "tfrs"]), (("two_tower",), ["torch"])])
def test_the_guests_that_are_wanted_are_those_of_generators_that_are_fitted(off, expected):
    towers = DEEP_SETTINGS["two_tower"].model_copy(update={"engine": "tfrs"})
    settings = CANDIDATE_SETTINGS.model_copy(
        update={"sequence": DEEP_SETTINGS["sequence"], "two_tower": towers, "off": off}
    )
    assert [guest.environment.name for guest in guests_wanted(settings)] == expected
    assert guests_wanted(CANDIDATE_SETTINGS) == []


def test_numbers_that_are_not_finite_are_refused_and_learnt_again_the_next_time(guest, settings, home: Home):
    too_large = {"numbers": np.array([1.0, 3e38], np.float32)}  # twice as much is infinite
    for n_times in (1, 2):
        with pytest.raises(ArtefactError, match=r"candidates\.twice ended with numbers .* in twice") as told:
            learnt_by(guest, too_large, settings)
        assert "Lower candidates.twice.learning_rate" in str(told.value)
        assert not list(home.trainings.iterdir())
        assert Path(settings["told"]).read_text() == "0 " * n_times


def elsewhere(guest: Guest, folder: Path) -> Guest:
    return replace(guest, environment=replace(guest.environment, folder=folder))


def test_a_checkpoint_that_was_not_finished_is_none(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(2, NUMBERS)
    (tmp_path / "checkpoint-3").mkdir()
    assert checkpoints.load_last()[0] == 2
    checkpoints.save(3, {"numbers": NUMBERS["numbers"] + 1})
    n_done, state = checkpoints.load_last()
    assert (n_done, state["numbers"].tolist()) == (3, [2.0, 3.5])
    assert not (tmp_path / "checkpoint-2").exists()


def test_a_taste_is_the_distinct_items_by_their_last_mention():
    known = interactions(("u1", 5, 1), ("u1", 2, 2), ("u1", 5, 3), ("u2", 7, 1), ("u2", 2, 4))
    day_10 = CHECKERBOARD_END.timestamp() - 10 * 86_400  # START is twenty days before the end
    tastes = Tastes.of(known, day_10, "candidates.sequence")
    assert [tastes.items[row].tolist() for row in range(2)] == [[2, 5], [7, 2]]
    assert tastes.days.tolist() == [10 - 2, 10 - 3, 10 - 1, 10 - 4]
    assert tastes.touched.tolist() == [2, 5, 7]
    told = tastes.told(SequenceSettings(visit_gap_hours=None), "candidates.sequence", np.array([2, 5, 6, 7], np.int32))
    assert told["items"].tolist() == [0, 1, 3, 0]
    np.testing.assert_allclose(tastes.weights(2.0), np.exp([-8 / 2, -7 / 2, -9 / 2, -6 / 2]), rtol=1e-6)
    assert tastes.weights(None).tolist() == [1, 1, 1, 1]


def test_what_is_to_be_told_came_after_a_pause():
    known = interactions(
        ("u1", 5, 1), ("u1", 2, 1.1), ("u1", 3, 3), ("u1", 4, 3.2), ("u1", 6, 9), ("u2", 7, 1), ("u2", 2, 4)
    )
    tastes = Tastes.of(known, CHECKERBOARD_END.timestamp(), "candidates.sequence")
    first, end = tastes.ahead(visit_gap_hours=12, horizon=2)
    assert list(zip(first.tolist(), end.tolist(), strict=True)) == [
        *[(2, 4), (2, 4), (4, 5), (4, 5), (5, 5)],  # of u1: the second visit, the second, the third, the third, none
        *[(6, 7), (7, 7)],
    ]
    first, end = tastes.ahead(visit_gap_hours=None, horizon=3)
    assert list(zip(first.tolist(), end.tolist(), strict=True)) == [
        *[(1, 4), (2, 5), (3, 5), (4, 5), (5, 5)],
        *[(6, 7), (7, 7)],
    ]


def test_where_nobody_came_back_the_error_says_what_to_set():
    inputs = FitInputs(
        interactions(("u1", 5, 1), ("u1", 6, 1.1)), checkerboard().catalogue, CHECKERBOARD_END.timestamp(), {}, seed=7
    )
    with pytest.raises(DataTooSmall, match="nobody came back after a pause of 12") as told:
        SequenceGenerator.fit(inputs, DEEP_SETTINGS["sequence"])
    assert "visit_gap_hours to null" in str(told.value)


def test_where_all_there_is_to_tell_is_too_old_to_count_the_error_says_what_to_set():
    def told(decay_days: float | None) -> dict[str, Any]:
        settings = SequenceSettings(visit_gap_hours=None, decay_days=decay_days)
        known = interactions(("u1", 5, 1), ("u1", 6, 9), ("u2", 7, 20))  # the last, of today, is told to nobody
        tastes = Tastes.of(known, CHECKERBOARD_END.timestamp(), "candidates.sequence")
        return dict(tastes.told(settings, "candidates.sequence", tastes.touched))

    with pytest.raises(DataTooSmall, match=r"decay_days, 0\.1, that it counts nothing") as error:
        told(0.1)  # 11 days are 110 times as much
    assert "Raise candidates.sequence.decay_days (its default is 60), or set it to null" in str(error.value)
    assert told(0.2)["weights"][1] > 0
    assert told(None)["weights"].tolist() == [1, 1, 1]


def test_no_table_of_a_seed_is_drawn_as_one_of_the_seeds_beside_it():
    numbers = [0, 1, 2, 100, 101, 102]
    drawn = [table_seed(seed, number) for seed in (0, 7, 8, 9, 2**31 - 2, 2**31 - 1) for number in numbers]
    assert len(set(drawn)) == len(drawn)
    assert 0 <= min(drawn) <= max(drawn) < 2**31


def test_a_way_of_learning_again_that_is_not_known_names_those_that_are():
    with pytest.raises(ValueError, match="SLATE_TEST_DEEP is torch; known are fitted, tfrs"):
        deep_fitted("torch")
    assert deep_fitted(None) == deep_fitted("") == {}


def test_where_nobody_touched_two_items_there_is_nothing_to_learn():
    with pytest.raises(DataTooSmall, match="of 2 there is none"):
        Tastes.of(interactions(("u1", 5, 1), ("u2", 5, 1)), CHECKERBOARD_END.timestamp(), "candidates.sequence")


def test_only_the_latest_items_that_were_learnt_are_looked_at():
    kept = SequenceGenerator.load(DEEP_LEARNT / "sequence", checkerboard().catalogue)
    vectors = kept.item_vectors.copy()
    vectors[11] = 0  # as if nobody had touched it
    generator = replace(kept, item_vectors=vectors)

    def vector(*items: int) -> list[float]:
        query = RetrievalQuery(0, preferred_items=np.array(items, np.int32))
        found = generator.vectors_of(QueryBatch.of([query]))
        return found.vectors[0].tolist() if found.is_known[0] else []

    assert generator.encoder.length == 6
    assert vector(1, 2, 3, 4, 5, 6, 7) == vector(2, 3, 4, 5, 6, 7) != vector(3, 4, 5, 6, 7)
    assert vector(3, 11, 4) == vector(3, 4) != vector(4, 3)
    assert vector(11) == []
