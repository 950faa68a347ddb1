"""Training `sequence` with PyTorch: what it hands over, killed and resumed, and how good it is on real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from contracts.home import Home
from contracts.settings.candidates import SequenceSettings
from recommender.generators.deep.environments import TORCH
from recommender.generators.deep.sequence import SequenceGenerator
from recommender.generators.deep.training.exchange import save_arrays
from recommender.query import QueryBatch, RetrievalQuery
from tests.deep.trained import asked, fitted_after_a_kill, ndcg_beside_popular, on_checkerboard
from tests.left_out import needed
from tests.recommender_worlds import CHECKERBOARD_ITEMS, DEEP_SETTINGS, interactions

pytestmark = needed(TORCH.is_made, "PyTorch in the environment of deep generators: `make deep`")
SETTINGS = DEEP_SETTINGS["sequence"]
TORCH_PROGRAM = "tests.deep.in_torch"


def bytes_of(generator: SequenceGenerator) -> dict[str, bytes]:
    arrays = {"item_vectors": generator.item_vectors, **generator.encoder.weights}
    return {name: array.tobytes() for name, array in arrays.items()}


def test_numpy_computes_what_torch_computes_but_for_rounding(home: Home, tmp_path: Path):
    fitted = SequenceGenerator.fit(on_checkerboard(), SETTINGS)
    touched = np.flatnonzero(fitted.item_vectors.any(axis=1))
    sequences = np.array([[-1, -1, -1, -1, -1, 3], [-1, -1, 4, 0, 8, 2], [5, 1, 9, 7, 3, 11]])
    given = {
        "items": fitted.item_vectors[touched, :-1],
        "bias": fitted.item_vectors[touched, -1],
        "sequences": sequences,
        **fitted.encoder.weights,
    }
    shape = SETTINGS.model_dump(include={"length", "dim", "n_blocks", "n_heads", "dropout"})
    save_arrays(tmp_path / "given", "given", given, shape)
    expected = asked(TORCH, TORCH_PROGRAM, "states", tmp_path)["states"]
    for row, sequence in enumerate(sequences):
        state = fitted.encoder.last_state(given["items"][sequence[sequence >= 0]])
        np.testing.assert_allclose(state, expected[row], rtol=1e-4, atol=1e-5)


def test_the_loss_by_drawn_negatives_is_near_the_one_over_all_items(tmp_path: Path):
    found = asked(TORCH, TORCH_PROGRAM, "sampled_loss", tmp_path)
    np.testing.assert_allclose(found["sampled"], found["full"], atol=0.05)


def test_epochs_after_a_checkpoint_are_those_of_a_training_that_was_never_stopped(tmp_path: Path):
    found = asked(TORCH, TORCH_PROGRAM, "epochs", tmp_path)
    assert found["n_epochs"].tolist() == [6, 3, 3]
    assert found["whole"].tobytes() == found["resumed"].tobytes()


def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "whole"))
    whole = SequenceGenerator.fit(on_checkerboard(), SETTINGS)

    def fit() -> SequenceGenerator:
        return SequenceGenerator.fit(on_checkerboard(), SETTINGS)

    assert bytes_of(fitted_after_a_kill(fit, tmp_path / "killed", monkeypatch)) == bytes_of(whole)


def test_where_everybody_steps_round_a_circle_the_next_item_is_told(home: Home):
    n, starts = CHECKERBOARD_ITEMS, range(0, 48, 5)
    walks = [(f"u{start}", (start + step) % n, float(step)) for start in starts for step in range(5)]
    inputs = replace(on_checkerboard(), interactions=interactions(*walks))
    generator = SequenceGenerator.fit(inputs, SETTINGS.model_copy(update={"horizon": 1, "visit_gap_hours": None}))
    for start in range(n):
        walked = np.array([(start + step) % n for step in range(4)], np.int32)
        query = RetrievalQuery(0, preferred_items=walked, excluded=np.sort(walked))
        assert generator.encode(QueryBatch.of([query])).propose(1).item_idx.tolist() == [(start + 4) % n]


def test_two_trainings_of_the_same_data_give_the_same_bytes(tmp_path: Path, monkeypatch):
    fits = []
    for name in ("first", "second"):
        monkeypatch.setenv("SLATE_HOME", str(tmp_path / name))
        fits.append(bytes_of(SequenceGenerator.fit(on_checkerboard(), SETTINGS)))
    assert fits[0] == fits[1]
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "third"))
    assert bytes_of(SequenceGenerator.fit(replace(on_checkerboard(), seed=8), SETTINGS)) != fits[0]


def test_a_batch_whose_items_are_too_old_to_count_teaches_nothing(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path))
    # One item is told at a time: of visits four days apart, half are as old as 120 times decay_days.
    settings = SETTINGS.model_copy(
        update={"decay_days": 0.1, "length": 2, "horizon": 1, "batch_size": 1, "n_epochs": 2}
    )
    assert np.isfinite(SequenceGenerator.fit(on_checkerboard(), settings).item_vectors).all()


def test_on_real_data_it_is_ahead_of_what_is_popular_for_people_with_a_history():
    sequence, popular = ndcg_beside_popular(lambda inputs: SequenceGenerator.fit(inputs, SequenceSettings()))
    assert sequence > popular
