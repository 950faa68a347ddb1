"""Two towers that TensorFlow Recommenders trains: what it hands over, killed and resumed, and how good it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.settings.candidates import TwoTowerSettings
from recommender.generators.deep.environments import TFRS
from recommender.generators.deep.two_tower import TwoTowerGenerator
from tests.deep.towers import bytes_of, check_numpy_computes_what_the_guest_computes
from tests.deep.trained import asked, fitted_after_a_kill, ndcg_beside_popular, on_checkerboard
from tests.left_out import needed
from tests.recommender_worlds import DEEP_SETTINGS

pytestmark = needed(TFRS.is_made, "TensorFlow Recommenders in an environment of its own: `make tfrs`")
SETTINGS = DEEP_SETTINGS["two_tower"].model_copy(update={"engine": "tfrs", "n_epochs": 60})
TFRS_PROGRAM = "tests.tfrs.in_tfrs"


def fit() -> TwoTowerGenerator:
    return TwoTowerGenerator.fit(on_checkerboard(), SETTINGS)


def test_numpy_computes_what_tensorflow_computes_but_for_rounding(tmp_path: Path):
    check_numpy_computes_what_the_guest_computes(lambda folder: asked(TFRS, TFRS_PROGRAM, "towers", folder), tmp_path)


def test_what_is_told_is_held_against_what_is_told_to_others_and_both_are_corrected_by_log_q(tmp_path: Path):
    found = asked(TFRS, TFRS_PROGRAM, "loss", tmp_path)
    scores, items, chance, weights = (found[name] for name in ("scores", "items", "chance", "weights"))
    corrected, expected = scores - np.log(chance), 0.0
    for row, item in enumerate(items):
        told = [column for column in range(len(items)) if column == row or items[column] != item]
        expected += weights[row] * (np.log(np.exp(corrected[row, told]).sum()) - corrected[row, row])
    assert len(set(items.tolist())) < len(items)  # one is told to two
    assert found["loss"] == pytest.approx(expected / weights.sum(), rel=1e-5)


def test_a_training_that_was_killed_goes_on_and_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "whole"))
    whole = fit()
    assert bytes_of(fitted_after_a_kill(fit, tmp_path / "killed", monkeypatch)) == bytes_of(whole)


def test_on_real_data_it_is_ahead_of_what_is_popular_for_people_with_a_history():
    settings = TwoTowerSettings(engine="tfrs", n_epochs=2)
    two_tower, popular = ndcg_beside_popular(lambda inputs: TwoTowerGenerator.fit(inputs, settings))
    assert two_tower > popular
