"""The metrics as their papers define them, one slate at a time, plainly: the oracle of `recommender.judging`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, log2


def ndcg(slate: Sequence[int], wanted: set[int], k: int) -> float:
    gain = sum(1 / log2(position + 1) for position, item in enumerate(slate[:k], start=1) if item in wanted)
    best = sum(1 / log2(position + 1) for position in range(1, min(len(wanted), k) + 1))
    return gain / best if best else 0.0


def recall(slate: Sequence[int], wanted: set[int], k: int) -> float:
    return len(wanted & set(slate[:k])) / len(wanted) if wanted else 0.0


def hit_rate(slate: Sequence[int], wanted: set[int], k: int) -> float:
    return float(bool(wanted & set(slate[:k])))


def reciprocal_rank(slate: Sequence[int], wanted: set[int], k: int) -> float:
    for position, item in enumerate(slate[:k], start=1):
        if item in wanted:
            return 1 / position
    return 0.0


def average_precision(slate: Sequence[int], wanted: set[int], k: int) -> float:
    precisions = [
        len(wanted & set(slate[:position])) / position
        for position, item in enumerate(slate[:k], start=1)
        if item in wanted
    ]
    return sum(precisions) / min(len(wanted), k) if wanted else 0.0


def serendipity(slate: Sequence[int], wanted: set[int], ranks: Sequence[int], k: int) -> float:
    n_items, total = len(ranks), 0.0
    for position, item in enumerate(slate[:k], start=1):
        confidence, by_popularity = ((n_items + 1 - rank) / n_items for rank in (position, ranks[item]))
        total += max(confidence - by_popularity, 0) * (item in wanted)
    return total / k


def intra_list_diversity(slate: Sequence[int], vectors: Sequence[Sequence[float]]) -> float:
    pairs = [(one, other) for one in range(len(slate)) for other in range(len(slate)) if one < other]
    if not pairs:
        return 0.0
    distances = [
        1 - sum(a * b for a, b in zip(vectors[slate[one]], vectors[slate[other]], strict=True)) for one, other in pairs
    ]
    return sum(distances) / len(pairs)


def gini(exposed: Sequence[int]) -> float:
    """Half the mean difference of any two items, over the mean."""
    n_items, total = len(exposed), sum(exposed)
    if not total:
        return 0.0
    differences = sum(abs(one - other) for one in exposed for other in exposed)
    return differences / (2 * n_items * total)


def miscalibration(slate: Sequence[int], history: Sequence[int], categories: Mapping[int, set[str]]) -> float | None:
    wanted, offered = category_mix(history, categories), category_mix(slate, categories)
    if not wanted or not offered:
        return None
    return sum(
        share * log(share / (0.99 * offered.get(name, 0.0) + 0.01 * share)) for name, share in wanted.items() if share
    )


def category_mix(items: Sequence[int], categories: Mapping[int, set[str]]) -> dict[str, float]:
    with_some = [item for item in items if categories[item]]
    mix: dict[str, float] = {}
    for item in with_some:
        for name in categories[item]:
            mix[name] = mix.get(name, 0.0) + 1 / len(categories[item]) / len(with_some)
    return mix


OF_HITS = {
    "ndcg": ndcg,
    "recall": recall,
    "hit_rate": hit_rate,
    "reciprocal_rank": reciprocal_rank,
    "average_precision": average_precision,
}
