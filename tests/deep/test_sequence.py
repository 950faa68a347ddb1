"""Training `sequence` with PyTorch: what it hands over, killed and resumed, and how good it is on real data."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.home import Home, find_home
from contracts.settings.candidates import SequenceSettings
from contracts.settings.settings import load_settings
from recommender.catalogue import Catalogue
from recommender.generators.base import FitInputs, Generator
from recommender.generators.deep.environments import TORCH
from recommender.generators.deep.guest import ROOT, SETTLED
from recommender.generators.deep.sequence import SequenceGenerator
from recommender.generators.deep.training.exchange import load_arrays, save_arrays
from recommender.generators.popular import PopularGenerator
from recommender.interactions import KnownEvents
from recommender.judging.hits import Hits, ndcg
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from recommender.split import rolling_splits
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.movielens import read_movielens
from tests.left_out import needed
from tests.recommender_worlds import (
    CHECKERBOARD_END,
    CHECKERBOARD_ITEMS,
    DEEP_SETTINGS,
    checkerboard,
    interactions,
)

pytestmark = needed(TORCH.is_made, "PyTorch in the environment of deep generators: `make deep`")
SETTINGS = DEEP_SETTINGS["sequence"]


def asked_torch(question: str, folder: Path) -> dict[str, Any]:
    command = [str(TORCH.python), "-m", "tests.deep.in_torch", question, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **SETTLED, "PYTHONPATH": str(ROOT)})
    return load_arrays(folder / "learnt", "learnt")[0]


def on_checkerboard() -> FitInputs:
    world = checkerboard()
    events = KnownEvents.of(world.tables.interactions, world.catalogue.ids).before(CHECKERBOARD_END)
    return FitInputs(events, world.catalogue, CHECKERBOARD_END.timestamp(), {}, seed=7)


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
    expected = asked_torch("states", tmp_path)["states"]
    for row, sequence in enumerate(sequences):
        state = fitted.encoder.last_state(given["items"][sequence[sequence >= 0]])
        np.testing.assert_allclose(state, expected[row], rtol=1e-4, atol=1e-5)


def test_the_loss_by_drawn_negatives_is_near_the_one_over_all_items(tmp_path: Path):
    found = asked_torch("sampled_loss", tmp_path)
    np.testing.assert_allclose(found["sampled"], found["full"], atol=0.05)


def test_epochs_after_a_checkpoint_are_those_of_a_training_that_was_never_stopped(tmp_path: Path):
    found = asked_torch("epochs", tmp_path)
    assert found["n_epochs"].tolist() == [6, 3, 3]
    assert found["whole"].tobytes() == found["resumed"].tobytes()


def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "whole"))
    whole = SequenceGenerator.fit(on_checkerboard(), SETTINGS)
    (kept,) = (tmp_path / "whole" / "trainings").iterdir()
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "killed"))

    class Killed(Exception):
        pass

    def killed_after_some_epochs(command: list[str], **options: Any) -> None:
        options.pop("check")
        process = subprocess.Popen(command, **options)
        folder = Path(command[-1])
        while not any(folder.glob("checkpoint-*/meta.json")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr("recommender.generators.deep.guest.subprocess.run", killed_after_some_epochs)
        with pytest.raises(Killed):
            SequenceGenerator.fit(on_checkerboard(), SETTINGS)
    folder = tmp_path / "killed" / "trainings" / kept.name
    assert not (folder / "learnt").exists()
    assert bytes_of(SequenceGenerator.fit(on_checkerboard(), SETTINGS)) == bytes_of(whole)
    assert sorted(path.name for path in folder.iterdir()) == ["learnt", "training.lock"]


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


def ndcg_of(generator: Generator, queries: QueryBatch, relevant: RaggedItems) -> float:
    proposals = generator.encode(queries).propose(10)
    slates = RaggedItems(proposals.offsets, proposals.item_idx)
    return float(ndcg(Hits.of(slates, relevant), 10).mean())


def test_on_real_data_it_is_ahead_of_what_is_popular_for_people_with_a_history():
    """MovieLens 100K, the window before the last one: everybody who was there before and came back."""
    tables = read_movielens(fetch_movielens_100k(find_home()))
    features = load_settings(ROOT / "params.yaml").features
    split = rolling_splits(tables.interactions, features, 2)[0]
    catalogue = Catalogue.from_items(tables.items)
    events, end = KnownEvents.of(tables.interactions, catalogue.ids), int(split.as_of.timestamp())
    known, now = events.before(split.test_start), int(split.test_start.timestamp())
    later, place = events.before(split.as_of), {user: place for place, user in enumerate(known.user_ids)}
    queries, relevant = [], []
    for user_idx, user_id in enumerate(later.user_ids):
        if user_id not in place or not len(later.history(user_idx, now, end)):
            continue
        history = known.history(place[user_id], 0, now)
        queries.append(RetrievalQuery(now, history, excluded=np.unique(history.item_idx)))
        relevant.append(np.setdiff1d(later.history(user_idx, now, end).item_idx, history.item_idx).astype(np.int32))
    assert len(queries) > 50
    batch, wanted = QueryBatch.of(queries), RaggedItems.of(relevant)
    inputs = FitInputs(known, catalogue, split.test_start.timestamp(), {}, seed=7)
    sequence = SequenceGenerator.fit(inputs, SequenceSettings())
    popular = PopularGenerator.fit("popular", known, catalogue)
    assert ndcg_of(sequence, batch, wanted) > ndcg_of(popular, batch, wanted)
