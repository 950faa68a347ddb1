"""The protocols of published tables: what is learnt from, what is asked, and what the answers are worth.

Of each system, by metric, the mean over all people whom the files ask about: who gets no answer counts 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np

from bench.quality.literature.reading import Baskets, LeftOut, Sequences
from bench.quality.literature.tables import A_DAY, LAST_DAY, a_day_apart, at_one_moment, tables_of
from contracts.batches import batches_of
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.offline.offline_store import values_as_of
from pipelines import evaluate
from pipelines.rolling.window_fit import fit_release, window_data
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.sets import fit_generators
from recommender.interactions import Interactions
from recommender.judging.hits import Hits, hit_rate, ndcg, recall
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from recommender.split import TimeSplit
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES

Figures = dict[str, dict[str, float]]  # by system and metric
BLOCK: Final = 1024
N_SNAPSHOTS: Final = 4  # of a sequence: the ranker learns from the last items before those left out
LEAST_SEQUENCE: Final = 3  # items: one to know somebody by, one for validation, one that is asked for
NO_REQUEST_PATH: Final[Mapping[type, str]] = {
    LeftOut: "it proposes from the whole catalogue, and ranks no list that it is handed",
    Baskets: "its features, and the windows that its ranker learns from, need times, and this form has none",
}


def left_out_figures(task: LeftOut, settings: Settings, seed: int) -> Figures:
    """HR@10 and NDCG@10 of the item left out among the negatives; of equal scores it stands last."""
    users, negatives = list(task.test), task.negatives
    every = (
        {item for _, item, _ in task.train} | set(task.test.values()) | {i for own in negatives.values() for i in own}
    )
    fitted = _Fitted(tables_of(task.train, every), settings, seed)
    ids = fitted.catalogue.ids
    lists = [ids.indices([task.test[user], *negatives[user]]) for user in users]
    figures = {}
    for name, generator in fitted.generators.items():
        hits = _hits_of_first(fitted.scores(generator, users, lists))
        figures[name] = {"HR@10": _mean(hit_rate(hits, 10)), "NDCG@10": _mean(ndcg(hits, 10))}
    return figures


def basket_figures(task: Baskets, settings: Settings, seed: int) -> Figures:
    """Recall@20 and NDCG@20 over all items that are not in somebody's training line."""
    every = {item for lines in (task.train, task.test) for own in lines.values() for item in own}
    fitted, users = _Fitted(tables_of(at_one_moment(task.train), every), settings, seed), list(task.test)
    relevant = RaggedItems.of(np.unique(fitted.catalogue.ids.indices(task.test[user])) for user in users)
    figures = {}
    for name, generator in fitted.generators.items():
        hits = Hits.of(fitted.proposals(generator, users, 20), relevant)
        figures[name] = {"recall@20": _mean(recall(hits, 20)), "NDCG@20": _mean(ndcg(hits, 20))}
    return figures


def sequence_figures(task: Sequences, settings: Settings, seed: int) -> Figures:
    """HR@10 and NDCG@10 of each person's last item, the slates of the request path and every generator.

    Fitted on what comes before the last two items; asked with all but the last, of which what was seen is not shown.
    """
    asked = {user: own for user, own in task.items.items() if len(own) >= LEAST_SEQUENCE}
    short = {user: own for user, own in task.items.items() if user not in asked}
    events = [*a_day_apart(asked, n_after=2), *a_day_apart(short, n_after=0)]
    tables = tables_of(events, {item for own in task.items.values() for item in own})
    evaluation = _sequence_evaluation(tables, settings, seed)
    rows = evaluation.per_person.filter(evaluation.per_person["group"] == WARM)
    return {
        "the slates" if system == SLATES else str(system): {
            title: float(mine[metric].sum()) / len(asked)
            for title, metric in (("HR@10", "hit_rate_at_10"), ("NDCG@10", "ndcg_at_10"))
        }
        for (system,), mine in rows.group_by("system", maintain_order=True)
    }


def _sequence_evaluation(tables: CanonicalTables, settings: Settings, seed: int) -> evaluate.Evaluation:
    """Fitted half a day after the last item learnt from, asked a day later, when the one for validation is known."""
    learnt = LAST_DAY + A_DAY / 2
    snapshots = tuple(learnt - A_DAY * step for step in range(N_SNAPSHOTS, 0, -1))
    split = TimeSplit(snapshots[0], learnt, learnt + 2 * A_DAY, {"test": snapshots, "all": ()})
    data = window_data(settings, tables, split)
    release = replace(fit_release(settings, data, seed), as_of=learnt + A_DAY)
    values = values_as_of(tables, release.as_of, settings.features.history_length).of(data.schemas)
    everybody = settings.evaluate.model_copy(update={"max_people": tables.users.height})
    asked = evaluate.Params(evaluate=everybody, request=settings.request, seed=settings.seed)
    return evaluate.measure(release, tables, values, asked, iter).evaluation


class _Fitted:
    """Every generator, fitted on all events of the tables, and asked with them as histories."""

    def __init__(self, tables: CanonicalTables, settings: Settings, seed: int) -> None:
        last = tables.interactions["event_ts"].max()
        self.as_of = last + timedelta(seconds=1)
        self.catalogue = Catalogue.from_items(tables.items)
        self.generators = fit_generators(tables, self.catalogue, self.as_of, settings.candidates, seed)
        self._interactions = Interactions.of(tables.interactions, self.catalogue.ids)
        self._user_idx = {user: number for number, user in enumerate(self._interactions.user_ids)}

    def proposals(self, generator: Generator, users: Sequence[str], k: int) -> RaggedItems:
        """The best k of each, seen ones left out."""
        found = (generator.encode(batch).propose(k) for batch in self._batches(users))
        return RaggedItems.of(one.of_query(number)[0] for one in found for number in range(len(one)))

    def scores(self, generator: Generator, users: Sequence[str], lists: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Of each list, the generator's scores; minus infinity where it has no opinion."""
        scored: list[np.ndarray] = []
        for batch, some in zip(self._batches(users), batches_of(lists, BLOCK), strict=True):
            items = RaggedItems.of(some)
            scores = np.nan_to_num(generator.encode(batch).score(items), nan=-np.inf)
            scored += np.split(scores, items.offsets[1:-1])
        return scored

    def _batches(self, users: Sequence[str]) -> list[QueryBatch]:
        return [QueryBatch.of([self._query(user) for user in some]) for some in batches_of(users, BLOCK)]

    def _query(self, user: str) -> RetrievalQuery:
        now = int(self.as_of.timestamp())
        if user not in self._user_idx:
            return RetrievalQuery(now)
        history = self._interactions.history(self._user_idx[user], 0, now)
        return RetrievalQuery(now, history, excluded=np.unique(history.item_idx))


def _hits_of_first(scores: Sequence[np.ndarray]) -> Hits:
    """The place of each list's first item by score; of equal scores it stands last."""
    places = np.array([int((own[1:] >= own[0]).sum()) + 1 for own in scores])
    ones = np.ones(len(places), np.int64)
    return Hits(np.arange(len(places)), places, np.zeros(len(places), np.int32), ones)


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


PROTOCOLS: Final[Mapping[type, Callable[..., Figures]]] = {
    LeftOut: left_out_figures,
    Baskets: basket_figures,
    Sequences: sequence_figures,
}
