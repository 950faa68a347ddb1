"""What tests of deep generators share: a guest's environment, a checkerboard, people of real data."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.home import find_home
from contracts.settings.settings import load_settings
from recommender.catalogue import Catalogue
from recommender.generators.base import FitInputs, Generator
from recommender.generators.deep.environments import GuestEnvironment
from recommender.generators.deep.guest import ROOT, variables_in
from recommender.generators.deep.training.exchange import load_arrays
from recommender.generators.popular import PopularGenerator
from recommender.interactions import KnownEvents
from recommender.judging.hits import Hits, ndcg
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from recommender.split import rolling_splits
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.movielens import read_movielens
from tests.recommender_worlds import CHECKERBOARD_END, checkerboard


def asked(environment: GuestEnvironment, program: str, question: str, folder: Path) -> dict[str, Any]:
    """What a module of the tests answers in an environment of guests."""
    command = [str(environment.python), "-m", program, question, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env=variables_in(environment))
    return load_arrays(folder / "learnt", "learnt")[0]


def on_checkerboard() -> FitInputs:
    """Everything that happened on the checkerboard."""
    world = checkerboard()
    events = KnownEvents.of(world.tables.interactions, world.catalogue.ids).before(CHECKERBOARD_END)
    return FitInputs(events, world.catalogue, CHECKERBOARD_END.timestamp(), {}, seed=7)


class _Killed(Exception):
    pass


def fitted_after_a_kill(fit: Callable[[], Generator], home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator:
    """What `fit` gives in an empty SLATE_HOME whose first training was killed after an epoch, and the second not."""
    monkeypatch.setenv("SLATE_HOME", str(home))

    def killed_after_some_epochs(command: list[str], **options: Any) -> None:
        options.pop("check")
        process = subprocess.Popen(command, **options)
        folder = Path(command[-1])
        while not any(folder.glob("checkpoint-*/meta.json")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        raise _Killed

    with monkeypatch.context() as killing:
        killing.setattr("recommender.generators.deep.guest.subprocess.run", killed_after_some_epochs)
        with pytest.raises(_Killed):
            fit()
    (folder,) = (home / "trainings").iterdir()
    assert not (folder / "learnt").exists()
    fitted = fit()
    assert sorted(path.name for path in folder.iterdir()) == ["learnt", "training.lock"]
    return fitted


def ndcg_beside_popular(fit: Callable[[FitInputs], Generator]) -> tuple[float, float]:
    """NDCG@10 of a generator alone, and of what is popular, for people with a history who came back.

    MovieLens 100K, the window before the last one.
    """
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
    fitted = fit(FitInputs(known, catalogue, split.test_start.timestamp(), {}, seed=7))
    popular = PopularGenerator.fit("popular", known, catalogue)
    return _ndcg_of(fitted, batch, wanted), _ndcg_of(popular, batch, wanted)


def _ndcg_of(generator: Generator, queries: QueryBatch, relevant: RaggedItems) -> float:
    proposals = generator.encode(queries).propose(10)
    slates = RaggedItems(proposals.offsets, proposals.item_idx)
    return float(ndcg(Hits.of(slates, relevant), 10).mean())
