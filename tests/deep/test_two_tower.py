"""Training `two_tower` with PyTorch and TorchRec: what it hands over, killed and resumed, and how good it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contracts.settings.candidates import TwoTowerSettings
from recommender.generators.deep.environments import TORCH
from recommender.generators.deep.training.exchange import save_arrays
from recommender.generators.deep.two_tower import PersonTower, TwoTowerGenerator
from tests.deep.trained import asked, fitted_after_a_kill, ndcg_beside_popular, on_checkerboard
from tests.left_out import needed
from tests.recommender_worlds import DEEP_SETTINGS

pytestmark = needed(TORCH.is_made, "PyTorch in the environment of deep generators: `make deep`")
SETTINGS = DEEP_SETTINGS["two_tower"].model_copy(update={"n_epochs": 60})  # so that it can be killed in between
TORCH_PROGRAM = "tests.deep.in_torch"


def fit() -> TwoTowerGenerator:
    return TwoTowerGenerator.fit(on_checkerboard(), SETTINGS)


def bytes_of(generator: TwoTowerGenerator) -> list[bytes]:
    tower = generator.tower
    arrays = (generator.item_vectors, tower.spoken, tower.widen_bias, tower.narrow, tower.narrow_bias)
    return [array.tobytes() for array in arrays]


def test_numpy_computes_what_torch_computes_but_for_rounding(tmp_path: Path):
    """Five items: of no category, of two, and one that nobody had touched; a history of one, of two, of three."""
    rng, length, step_weight = np.random.default_rng(2), 2, 0.7
    given = {
        "items": np.array([3, 0, 1, 2], np.int32),
        "offsets": np.array([0, 4]),
        "first": np.array([1, 2, 3, 4]),
        "end": np.array([4, 4, 4, 4]),
        "weights": np.ones(4, np.float32),
        "category_offsets": np.array([0, 0, 2, 3, 4, 6]),
        "categories": np.array([0, 2, 1, 2, 0, 1], np.int32),
        "category_weights": rng.random(6).astype(np.float32),
        "facts": rng.normal(size=(5, 3)).astype(np.float32),
        "is_touched": np.array([True, True, True, True, False]),
    }
    settings = {
        "length": length, "step_weight": step_weight, "id_dropout": 0.0, "n_categories": 3, "dim": 4, "width": 6
    }  # fmt: skip
    save_arrays(tmp_path / "given", "given", given, settings)
    found = asked(TORCH, TORCH_PROGRAM, "towers", tmp_path)
    expected, item_vectors = found.pop("vectors"), found.pop("item_vectors")
    tower = PersonTower(**found, length=length, step_weight=step_weight)
    for row, read in enumerate(([3], [3, 0], [0, 1])):
        np.testing.assert_allclose(tower.vector_of(np.array(read)), expected[row], rtol=1e-4, atol=1e-5)
    assert item_vectors.shape == (5, 4 + 1)
    assert tower.spoken.shape == (5, 4 + 6)
    assert not tower.spoken[
        4, :4
    ].any()  # the id of what nobody had touched tells nothing; what else is known of it does
    assert tower.spoken[4, 4:].any()


def test_the_loss_in_batches_is_near_the_one_over_all_items(tmp_path: Path):
    found = asked(TORCH, TORCH_PROGRAM, "in_batch_loss", tmp_path)
    np.testing.assert_allclose(found["in_batches"], found["full"], atol=0.03)


def test_a_training_that_was_killed_goes_on_and_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "whole"))
    whole = fit()
    assert bytes_of(fitted_after_a_kill(fit, tmp_path / "killed", monkeypatch)) == bytes_of(whole)


def test_on_real_data_it_is_ahead_of_what_is_popular_for_people_with_a_history():
    two_tower, popular = ndcg_beside_popular(lambda inputs: TwoTowerGenerator.fit(inputs, TwoTowerSettings(n_epochs=2)))
    assert two_tower > popular
