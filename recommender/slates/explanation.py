"""Why items are shown, in sentences for people; every sentence is true of whoever asks.

Where the ranker scored, a sentence is given only where what it speaks of raised the score: the features of its group
(`recommender.slates.reason_table`) add to it, and without them it would be less. So what is named is what moved the
item up. Where nothing of the kind can be said, and where no ranker scored, what proposed the item is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.query import QueryBatch
from recommender.ranking.ranking_features import RankingMatrix, Schemas
from recommender.slates.reason_facts import RankedInput, ReasonFacts
from recommender.slates.reason_table import REASON_TABLE, Group, columns_by_group

MOST_REASONS = 3
NOT_PROPOSED: Final = 1e9  # a place behind all others; an infinite one is not scored by the quick trees

Sums = npt.NDArray[np.float64]
Sentences = Mapping[Group, str]


class Scorer(Protocol):
    """As much of a ranker as explains its scores."""

    def score(self, values: FloatArray) -> FloatArray: ...

    def contributions(self, values: FloatArray) -> Sums: ...


@dataclass(frozen=True)
class Ranked:
    """How the candidates got their scores: who scored, and by what.

    written: (n_candidates,) epoch seconds at which the items' published rows were true, 0 where it is not known.
    """

    ranker: Scorer
    matrix: RankingMatrix
    schemas: Schemas
    written: npt.NDArray[np.int64]

    def input_of(self, rows: npt.NDArray[np.intp]) -> RankedInput:
        """What the ranker was handed of some candidates."""
        names = self.matrix.names
        return RankedInput(names, self.matrix.values[rows], absent_values(names, self.schemas), self.written[rows])


def reasons(
    catalogue: Catalogue,
    generators: Mapping[str, Generator],
    queries: QueryBatch,
    candidates: CandidateSet,
    shown: npt.NDArray[np.intp],
    ranked: Ranked | None = None,
) -> list[tuple[str, ...]]:
    """For each candidate shown, at most three sentences that say why, what weighs most first.

    shown: the rows of the candidates that are explained; those of one query stand together, the queries in their order.
    ranked: None where no ranker scored; then the most personal come first.
    """
    handed = None if ranked is None else ranked.input_of(shown)
    facts = ReasonFacts(catalogue, generators, queries, candidates, shown, handed)
    sentences = [_sentences(facts, at) for at in range(len(facts))]
    if ranked is None or handed is None:
        return [tuple(of_one.values())[:MOST_REASONS] for of_one in sentences]
    columns = columns_by_group(handed.names, item_to_item_names(generators))
    weights = _weights(ranked.ranker, handed, columns, sentences)
    return [
        _heaviest(of_one, own) if own else _of_a_proposer(of_one, facts.proposed_by(at))
        for at, (of_one, own) in enumerate(zip(sentences, weights, strict=True))
    ]


def group_contributions(added: Sums, columns: Mapping[Group, Sequence[int]]) -> dict[Group, Sums]:
    """(n,) of each group what its features add to each row's score; added: (n, n_features + 1) `contributions`."""
    return {group: _added_up(added, own) for group, own in columns.items()}


def absent_values(names: Sequence[str], schemas: Schemas) -> FloatArray:
    """(n_features,) what the ranker is handed of a feature that is not known.

    The default of a published one; of what generators say, that they have no opinion and did not propose the item.
    """
    published = {spec.name: spec.default for schema in (schemas.user, schemas.item) for spec in schema.features}
    places = {name: NOT_PROPOSED for name in names if name.startswith("rank_") or name == "pair_rank_best"}
    return np.array([{**places, **published}.get(name, np.nan) for name in names], np.float32)


def _sentences(facts: ReasonFacts, at: int) -> Sentences:
    """What can be said of one item, by what it speaks of."""
    told = ((group, reason.sentence(facts, at)) for group, reason in REASON_TABLE.items())
    return {group: sentence for group, sentence in told if sentence is not None}


def item_to_item_names(generators: Mapping[str, Generator]) -> tuple[str, ...]:
    """Those of the generators that are item to item, whatever their names, in the order of the names."""
    return tuple(sorted(name for name, one in generators.items() if isinstance(one, ItemToItemGenerator)))


def _weights(
    ranker: Scorer, handed: RankedInput, columns: Mapping[Group, Sequence[int]], sentences: Sequence[Sentences]
) -> list[dict[Group, float]]:
    """For each item, of the groups that raised its score how much they added to it.

    They are those whose features add more than nothing, and without which the score is less.
    """
    added = group_contributions(ranker.contributions(handed.values), columns)
    asked = [
        (at, group)
        for at, of_one in enumerate(sentences)
        for group in of_one
        if group in columns and added[group][at] > 0
    ]
    without = handed.values[[at for at, _ in asked]]
    for row, (_, group) in enumerate(asked):
        own = list(columns[group])
        without[row, own] = handed.absent[own]
    is_less = ranker.score(without) < ranker.score(handed.values)[[at for at, _ in asked]]
    weights: list[dict[Group, float]] = [{} for _ in sentences]
    for (at, group), less in zip(asked, is_less.tolist(), strict=True):
        if less:
            weights[at][group] = float(added[group][at])
    return weights


def _heaviest(sentences: Sentences, weights: Mapping[Group, float]) -> tuple[str, ...]:
    """The sentences of the groups that weigh most."""
    heaviest = sorted(weights, key=lambda group: -weights[group])
    return tuple(sentences[group] for group in heaviest[:MOST_REASONS])


def _of_a_proposer(sentences: Sentences, proposed_by: set[str]) -> tuple[str, ...]:
    """The sentence of one of the generators that proposed the item, if any has one."""
    told = (sentence for group, sentence in sentences.items() if proposed_by & {*REASON_TABLE[group].proposers})
    return tuple(told)[:1]


def _added_up(added: Sums, columns: Sequence[int]) -> Sums:
    """(n,) the sum of some columns, in their order, so that a row's bits are its own."""
    total = np.zeros(len(added))
    for column in columns:
        total += added[:, column]
    return total
