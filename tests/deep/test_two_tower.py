"""Training `two_tower` with PyTorch and TorchRec: what it hands over, killed and resumed, and how good it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contracts.settings.candidates import TwoTowerSettings
from recommender.generators.deep.environments import TORCH
from recommender.generators.deep.two_tower import TwoTowerGenerator
from tests.deep.towers import bytes_of, check_numpy_computes_what_the_guest_computes
from tests.deep.trained import asked, fitted_after_a_kill, ndcg_beside_popular, on_checkerboard
from tests.left_out import needed
from tests.recommender_worlds import DEEP_SETTINGS

pytestmark = needed(TORCH.is_made, "PyTorch in the environment of deep generators: `make deep`")
SETTINGS = DEEP_SETTINGS["two_tower"].model_copy(update={"n_epochs": 30})  # so that it can be killed in between
TORCH_PROGRAM = "tests.deep.in_torch"


def fit() -> TwoTowerGenerator:
    return TwoTowerGenerator.fit(on_checkerboard(), SETTINGS)


def test_numpy_computes_what_torch_computes_but_for_rounding(tmp_path: Path):
    check_numpy_computes_what_the_guest_computes(lambda folder: asked(TORCH, TORCH_PROGRAM, "towers", folder), tmp_path)


def test_the_loss_in_batches_is_near_the_one_over_all_items(tmp_path: Path):
    found = asked(TORCH, TORCH_PROGRAM, "in_batch_loss", tmp_path)
    np.testing.assert_allclose(found["in_batches"], found["full"], atol=0.03)


def test_a_training_that_was_killed_goes_on_and_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "whole"))
    whole = fit()
    assert bytes_of(fitted_after_a_kill(fit, tmp_path / "killed", monkeypatch)) == bytes_of(whole)


def test_a_batch_whose_items_are_too_old_to_count_teaches_nothing(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path))
    settings = SETTINGS.model_copy(update={"decay_days": 0.1, "batch_size": 2, "n_epochs": 2})
    assert np.isfinite(TwoTowerGenerator.fit(on_checkerboard(), settings).item_vectors).all()


def test_on_real_data_it_is_ahead_of_what_is_popular_for_people_with_a_history():
    two_tower, popular = ndcg_beside_popular(lambda inputs: TwoTowerGenerator.fit(inputs, TwoTowerSettings(n_epochs=2)))
    assert two_tower > popular
