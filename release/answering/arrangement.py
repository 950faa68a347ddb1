"""What of the scored candidates is shown, and in which order: diversified, then explored around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from contracts.fingerprint import fingerprint_json
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.request import RequestSettings
from contracts.slates import RecommendRequest
from recommender.candidates import CandidateSet
from recommender.ragged import Offsets, RaggedItems, offsets_of, places_of
from recommender.slates.diversification import Diversification
from recommender.slates.diversity import maximal_marginal_relevance
from recommender.slates.exploration import explore
from recommender.slates.rules import SlateRules, placed
from release.bundle.bundle import Release

Positions = npt.NDArray[np.intp]
NO_RULES = SlateRules()


@dataclass(frozen=True)
class Arrangement:
    """The candidates that are shown: query q's are rows[offsets[q]:offsets[q + 1]], in the order of their positions.

    rows: of the candidates; propensities: (n_shown,) the chance that each stood where it stands.
    """

    offsets: Offsets
    rows: Positions
    propensities: npt.NDArray[np.float64]


def arrange(
    release: Release,
    requests: Sequence[RecommendRequest],
    histories: RaggedItems,
    candidates: CandidateSet,
    scores: FloatArray,
    k: int,
    placing: SlateRules = NO_RULES,
) -> Arrangement:
    """For each request the slate of at most k items that the release's rules make of its candidates.

    requests: aligned with the rows of histories, what each person touched, oldest first, and with those of the
    candidates; scores: (n_candidates,). Equal scores: the smaller item_idx.
    placing: fills places with the candidates in the order that all of this gives them; then nothing is explored.
    """
    if not placing.fills_places:
        return _arranged(release, requests, histories, candidates, scores, k, k)
    every = _arranged(release, requests, histories, candidates, scores, k, max(len(candidates), 1))
    offsets, at = placed(every.offsets, candidates.item_idx[every.rows], k, placing, release.catalogue)
    return Arrangement(offsets, every.rows[at], np.ones(len(at)))


def _arranged(
    release: Release,
    requests: Sequence[RecommendRequest],
    histories: RaggedItems,
    candidates: CandidateSet,
    scores: FloatArray,
    k: int,
    n_kept: int,
) -> Arrangement:
    """As `arrange` without rules that fill places, and n_kept of each request, of which the first k are its slate."""
    rules, offsets = release.request, candidates.items.offsets
    order = np.lexsort((candidates.item_idx, -scores, candidates.rows))
    if not _is_diversified(rules) and not rules.exploration_share:
        rows = order[places_of(offsets) < n_kept]
        return Arrangement(offsets_of(np.minimum(candidates.items.lengths, n_kept)), rows, np.ones(len(rows)))
    arranged = [
        _arranged_alone(release, request, histories[row], candidates.item_idx, scores, order[start:end], k, n_kept)
        for row, (request, (start, end)) in enumerate(zip(requests, pairwise(offsets.tolist()), strict=True))
    ]
    return Arrangement(
        offsets_of([len(rows) for rows, _ in arranged]),
        np.concatenate([rows for rows, _ in arranged]),
        np.concatenate([propensities for _, propensities in arranged]),
    )


def policy_suffix(rules: RequestSettings) -> str:
    """What the arrangement adds to the name of the policy that scored: how it is diversified, and explored around.

    relevance_weight has no part in it: the policies of before had these names, and logs hold them.
    """
    diversity, share = rules.diversity, rules.exploration_share
    budget = f"+{diversity.method}-{diversity.strength:g}-loss-{diversity.max_relevance_loss:g}"
    return f"{'' if diversity.method == 'none' else budget}{f'+explore-{share:g}' if share else ''}"


def _is_diversified(rules: RequestSettings) -> bool:
    return rules.relevance_weight < 1 or rules.diversity.method != "none"


def _arranged_alone(
    release: Release,
    request: RecommendRequest,
    history: ItemIdxArray,
    item_idx: ItemIdxArray,
    scores: FloatArray,
    order: Positions,
    k: int,
    n_kept: int,
) -> tuple[Positions, npt.NDArray[np.float64]]:
    """(rows, propensities) of one request's slate; order: its candidates, best first."""
    rules = release.request
    if _is_diversified(rules):
        first = _diversified(release, history, item_idx[order], scores[order], k)
        order = np.concatenate([order[first], np.delete(order, first)])
    return explore(order, n_kept, rules.exploration_share, _rng(request))


def _diversified(
    release: Release, history: ItemIdxArray, item_idx: ItemIdxArray, scores: FloatArray, k: int
) -> Positions:
    """The places of a slate of what is relevant and unlike, among candidates that come best first."""
    rules, catalogue = release.request, release.catalogue
    if rules.diversity.method == "none":
        return maximal_marginal_relevance(scores, catalogue.unit_categories_of(item_idx), k, rules.relevance_weight)
    return Diversification(catalogue, rules.diversity).choose(item_idx, scores, history, k).places


def _rng(request: RecommendRequest) -> np.random.Generator:
    """Draws that depend on the request's seed and id alone, so that it can be answered again."""
    return np.random.default_rng(int(fingerprint_json([request.seed, request.request_id]), 16))
