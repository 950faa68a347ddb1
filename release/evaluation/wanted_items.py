"""What became of every item that somebody wanted: proposed or not, kept or not, and at which position it was shown.

The candidates are put together from what the generators proposed, by the code and the quotas of the request path; no
generator is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.ids import FloatArray, ItemIdxArray
from contracts.slates import Slate
from recommender.candidates import CandidateSet, gather
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, is_among, offsets_of, pair_keys, places_of
from release.answering.placing import place_of
from release.answering.tiers import TierPlan, plan_quotas
from release.bundle.bundle import Release
from release.evaluation.cases import EvaluationCase

BY: Final = "by_"  # before a generator's name: whether it proposed the item within its quota
WITHOUT: Final = "without_"  # whether the item is a candidate when that generator is left out


@dataclass(frozen=True)
class AskedBlock:
    """Cases that were asked together. release: as it answers where they were asked.

    slates: what they were answered; proposed: by generator, at least its quota.
    to_judge: (n_items,) the judge's index of the release's items.
    """

    release: Release
    cases: Sequence[EvaluationCase]
    queries: QueryBatch
    slates: Sequence[Slate]
    shown: RaggedItems
    proposed: Mapping[str, Proposals]
    to_judge: ItemIdxArray

    def plans(self) -> list[TierPlan]:
        """How each case was served."""
        return [
            place_of(self.release, case.request).plan(slate.tier, slate.rules, case.request.filter)
            for slate, case in zip(self.slates, self.cases, strict=True)
        ]


def n_to_propose(release: Release, name: str, k: int) -> int:
    """How many items of a generator are looked at: its slate of k alone, and its quota."""
    return max(release.quotas.get(name, 0), k)


def wanted_items(group: str, block: AskedBlock) -> pl.DataFrame:
    """A row for each wanted item of each case.

    group, user_id, item_idx (the judge's); position: in the slate, 0 where it is not shown; is_proposed: by any
    generator within its quota; is_candidate: among the `n_ranked` that are kept; n_candidates: of the person.
    by_<generator>, without_<generator>: see BY and WITHOUT; of the generators that were asked.
    """
    plans, parts = block.plans(), []
    for plan in {id(one): one for one in plans}.values():
        chosen = np.array([one is plan for one in plans])
        parts.append(_rows_of_plan(group, block, plan, chosen))
    return parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal")


def _rows_of_plan(group: str, block: AskedBlock, plan: TierPlan, chosen: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Those of the chosen cases, (n_cases,), which are served by this plan; the other cases do no harm."""
    k = block.cases[0].request.k
    quotas = {name: n for name, n in plan_quotas(plan, block.release.quotas, k).items() if n}
    wanted = RaggedItems.of(case.relevant for case in block.cases)
    about = {
        "group": [group] * len(wanted.item_idx),
        "user_id": [case.user_id for case in block.cases for _ in case.relevant],
        "item_idx": wanted.item_idx,
        "position": _positions(wanted, block.shown),
    }
    fate = _fate(block, quotas, max(block.release.request.n_ranked, k), wanted)
    rows = pl.DataFrame({**about, **fate})
    return rows if chosen.all() else rows.filter(chosen[wanted.rows])


def _fate(
    block: AskedBlock, quotas: Mapping[str, int], n_ranked: int, wanted: RaggedItems
) -> dict[str, npt.NDArray[Any]]:
    """By column, (n_wanted,) what the stages of retrieval made of each wanted item."""
    union = _gathered(block, quotas, sum(quotas.values()))
    is_cut = int(union.items.lengths.max(initial=0)) > n_ranked
    kept = _gathered(block, quotas, n_ranked) if is_cut else union
    proposed = _proposed_by(wanted, union, block.to_judge)
    fate: dict[str, npt.NDArray[Any]] = {
        "is_proposed": np.asarray(proposed.any(axis=1)),
        "is_candidate": np.asarray(_proposed_by(wanted, kept, block.to_judge).any(axis=1)),
        "n_candidates": kept.items.lengths[wanted.rows],
    }
    for column, name in enumerate(union.names):
        others = {other: n for other, n in quotas.items() if other != name}
        left = _proposed_by(wanted, _gathered(block, others, n_ranked), block.to_judge) if is_cut else None
        fate[f"{BY}{name}"] = proposed[:, column]
        fate[f"{WITHOUT}{name}"] = np.asarray(
            (np.delete(proposed, column, axis=1) if left is None else left).any(axis=1)
        )
    return fate


def _gathered(block: AskedBlock, quotas: Mapping[str, int], n_kept: int) -> CandidateSet:
    encoded = {name: _Proposed(block.proposed[name]) for name in quotas}
    return gather(encoded, block.queries, quotas, n_kept)


def _proposed_by(wanted: RaggedItems, candidates: CandidateSet, to_judge: ItemIdxArray) -> npt.NDArray[np.bool_]:
    """(n_wanted, n_generators) which generators proposed each candidate, columns as their names; False for no one."""
    keys = pair_keys(candidates.rows, to_judge[candidates.item_idx])
    order = np.argsort(keys)
    found = is_among(wanted.keys, keys[order])
    proposed = np.zeros((len(found), len(candidates.names)), bool)
    proposed[found] = candidates.proposed[order[np.searchsorted(keys[order], wanted.keys[found])]]
    return proposed


def _positions(wanted: RaggedItems, shown: RaggedItems) -> npt.NDArray[np.int32]:
    """(n_wanted,) from 1; 0 for what is not shown."""
    position: dict[Any, int] = dict(zip(shown.keys.tolist(), (places_of(shown.offsets) + 1).tolist(), strict=True))
    return np.array([position.get(key, 0) for key in wanted.keys.tolist()], np.int32)


@dataclass(frozen=True)
class _Proposed:
    """A generator that was asked already. Its scores are needed by nobody here."""

    proposals: Proposals

    def propose(self, k: int) -> Proposals:
        first = places_of(self.proposals.offsets) < k
        lengths = np.minimum(np.diff(self.proposals.offsets), k)
        return Proposals(offsets_of(lengths), self.proposals.item_idx[first], self.proposals.scores[first])

    def score(self, items: RaggedItems) -> FloatArray:
        return np.full(len(items.item_idx), np.nan, np.float32)
