"""The protocols of published tables: what is learnt from, what is asked, and what the answers are worth.

Of each system, by metric, the mean over all people whom the files ask about: who gets no answer counts 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from bench.quality.literature.people import People
from bench.quality.literature.reading import Baskets, ItemsByUser, LeftOut, Sequences
from bench.quality.literature.tables import A_DAY, LAST_DAY, a_day_apart, at_one_moment, tables_of
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from feature_store.offline.offline_store import values_as_of
from pipelines import evaluate
from pipelines.rolling.window_fit import fit_release, window_data
from recommender.generators.base import Generator
from recommender.judging.hits import Hits, hit_rate, ndcg, recall
from recommender.ragged import RaggedItems
from recommender.split import TimeSplit
from release.evaluation.cases import WARM
from release.evaluation.evaluation import SLATES

Figures = dict[str, dict[str, float]]  # by system and metric
N_SNAPSHOTS: Final = 4  # of a sequence: the ranker learns from the last items before those left out
LEARNT: Final = LAST_DAY + A_DAY / 2  # of a sequence, what lies before it is learnt from
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
    people = People.at_the_end_of(tables_of(task.train, every))
    lists = [people.catalogue.ids.indices([task.test[user], *negatives[user]]) for user in users]
    figures = {}
    for name, generator in people.every_generator(settings.candidates, seed).items():
        hits = _hits_of_first(people.scores(generator, users, lists))
        figures[name] = {"HR@10": _mean(hit_rate(hits, 10)), "NDCG@10": _mean(ndcg(hits, 10))}
    return figures


def basket_figures(task: Baskets, settings: Settings, seed: int) -> Figures:
    """Recall@20 and NDCG@20 over all items that are not in somebody's training line."""
    people = people_of_baskets(task)
    fitted = people.every_generator(settings.candidates, seed)
    return {name: basket_figures_of(people, generator, task) for name, generator in fitted.items()}


def people_of_baskets(task: Baskets) -> People:
    """Those of the training lines, and a catalogue of every item."""
    every = {item for lines in (task.train, task.test) for own in lines.values() for item in own}
    return People.at_the_end_of(tables_of(at_one_moment(task.train), every))


def basket_figures_of(people: People, generator: Generator, task: Baskets) -> dict[str, float]:
    """By metric, of one generator."""
    users, indices = list(task.test), people.catalogue.ids.indices
    relevant = RaggedItems.of(np.unique(indices(task.test[user])) for user in users)
    hits = Hits.of(people.proposals(generator, users, 20), relevant)
    return {"recall@20": _mean(recall(hits, 20)), "NDCG@20": _mean(ndcg(hits, 20))}


def sequence_figures(task: Sequences, settings: Settings, seed: int) -> Figures:
    """HR@10 and NDCG@10 of each person's last item, the slates of the request path and every generator.

    Fitted on what comes before the last two items; asked with all but the last, of which what was seen is not shown.
    """
    asked = asked_sequences(task)
    evaluation = _sequence_evaluation(tables_of_sequences(task), settings, seed)
    rows = evaluation.per_person.filter(evaluation.per_person["group"] == WARM)
    return {
        "the slates" if system == SLATES else str(system): {
            title: float(mine[metric].sum()) / len(asked)
            for title, metric in (("HR@10", "hit_rate_at_10"), ("NDCG@10", "ndcg_at_10"))
        }
        for (system,), mine in rows.group_by("system", maintain_order=True)
    }


def asked_sequences(task: Sequences) -> ItemsByUser:
    """Those that are long enough; of the others is learnt alone."""
    return {user: own for user, own in task.items.items() if len(own) >= LEAST_SEQUENCE}


def tables_of_sequences(task: Sequences) -> CanonicalTables:
    """The last item that is learnt from at LAST_DAY, that for validation a day later, the last one a day after it."""
    asked = asked_sequences(task)
    short = {user: own for user, own in task.items.items() if user not in asked}
    events = [*a_day_apart(asked, n_after=2), *a_day_apart(short, n_after=0)]
    return tables_of(events, {item for own in task.items.values() for item in own})


def sequence_figures_of(people: People, generator: Generator, wanted: Mapping[str, str]) -> dict[str, float]:
    """By metric, of one generator; wanted: the one item of each person that is asked."""
    indices = people.catalogue.ids.indices(list(wanted.values()))
    relevant = RaggedItems.of(indices[at : at + 1] for at in range(len(indices)))
    hits = Hits.of(people.proposals(generator, list(wanted), 10), relevant)
    return {"HR@10": _mean(hit_rate(hits, 10)), "NDCG@10": _mean(ndcg(hits, 10))}


def _sequence_evaluation(tables: CanonicalTables, settings: Settings, seed: int) -> evaluate.Evaluation:
    """Fitted half a day after the last item learnt from, asked a day later, when the one for validation is known."""
    learnt = LEARNT
    snapshots = tuple(learnt - A_DAY * step for step in range(N_SNAPSHOTS, 0, -1))
    split = TimeSplit(snapshots[0], learnt, learnt + 2 * A_DAY, {"test": snapshots, "all": ()})
    data = window_data(settings, tables, split)
    release = replace(fit_release(settings, data, seed), as_of=learnt + A_DAY)
    values = values_as_of(tables, release.as_of, settings.features.history_length).of(data.schemas)
    everybody = settings.evaluate.model_copy(update={"max_people": tables.users.height})
    asked = evaluate.Params(evaluate=everybody, request=settings.request, seed=settings.seed)
    return evaluate.measure(release, tables, values, asked, iter).evaluation


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
