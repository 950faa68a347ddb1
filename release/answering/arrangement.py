"""What of the scored candidates is shown, and in which order: diversified, then explored around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.fingerprint import fingerprint_json
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.request import RequestSettings
from contracts.slates import RecommendRequest
from recommender.candidates import CandidateSet
from recommender.ragged import Offsets, offsets_of, places_of
from recommender.slates.diversity import maximal_marginal_relevance
from recommender.slates.exploration import explore
from release.bundle.bundle import Release

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Arrangement:
    """The candidates that are shown: query q's are rows[offsets[q]:offsets[q + 1]], in the order of their positions.

    rows: of the candidates; propensities: (n_shown,) the chance that each stood where it stands.
    """

    offsets: Offsets
    rows: Positions
    propensities: npt.NDArray[np.float64]


def arrange(
    release: Release, requests: Sequence[RecommendRequest], candidates: CandidateSet, scores: FloatArray, k: int
) -> Arrangement:
    """For each request the slate of at most k items that the release's rules make of its candidates.

    requests: aligned with the rows of the candidates; scores: (n_candidates,). Equal scores: the smaller item_idx.
    """
    rules, offsets = release.request, candidates.items.offsets
    order = np.lexsort((candidates.item_idx, -scores, candidates.rows))
    if rules.relevance_weight == 1 and not rules.exploration_share:
        rows = order[places_of(offsets) < k]
        return Arrangement(offsets_of(np.minimum(candidates.items.lengths, k)), rows, np.ones(len(rows)))
    arranged = [
        _arranged_alone(release, request, candidates.item_idx, scores, order[start:end], k)
        for request, start, end in zip(requests, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return Arrangement(
        offsets_of([len(rows) for rows, _ in arranged]),
        np.concatenate([rows for rows, _ in arranged]),
        np.concatenate([propensities for _, propensities in arranged]),
    )


def policy_suffix(rules: RequestSettings) -> str:
    """What the arrangement adds to the name of the policy that scored: how much it is explored around."""
    return f"+explore-{rules.exploration_share:g}" if rules.exploration_share else ""


def _arranged_alone(
    release: Release,
    request: RecommendRequest,
    item_idx: ItemIdxArray,
    scores: FloatArray,
    order: Positions,
    k: int,
) -> tuple[Positions, npt.NDArray[np.float64]]:
    """(rows, propensities) of one request's slate; order: its candidates, best first."""
    rules = release.request
    if rules.relevance_weight < 1:
        order = _diversified_order(release, item_idx, scores, order, k)
    return explore(order, k, rules.exploration_share, _rng(request))


def _diversified_order(
    release: Release, item_idx: ItemIdxArray, scores: FloatArray, order: Positions, k: int
) -> Positions:
    """The order with its first k places taken by what is relevant and unlike; the others follow as they were."""
    vectors = release.catalogue.unit_categories_of(item_idx[order])
    first = maximal_marginal_relevance(scores[order], vectors, k, release.request.relevance_weight)
    others = np.setdiff1d(np.arange(len(order)), first)
    diversified: Positions = order[np.concatenate([first, others])]
    return diversified


def _rng(request: RecommendRequest) -> np.random.Generator:
    """Draws that depend on the request's seed and id alone, so that it can be answered again."""
    return np.random.default_rng(int(fingerprint_json([request.seed, request.request_id]), 16))
