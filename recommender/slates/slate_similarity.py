"""How alike two slates are: ids in the order of their positions, none twice in one slate."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

Items = Sequence[Hashable]

PERSISTENCE = 0.9  # of a reader who goes on to the next item with this chance: ten items are 86% of the weight


def overlap(first: Items, second: Items) -> float:
    """The share of the longer slate's items that the other shows too, wherever; 1 for two empty slates."""
    longer = max(len(first), len(second))
    return len(set(first) & set(second)) / longer if longer else 1.0


def rank_biased_overlap(first: Items, second: Items, persistence: float = PERSISTENCE) -> float:
    """How alike they are when upper positions count more: 1 for one slate twice, 0 without a common item.

    A slate is taken for the head of a longer ranking, which goes on to agree as the head does. So five items beside ten
    with the same first five give 1; that five are missing shows in `overlap`. With s and l for the lengths of
    the shorter and the longer slate, and X_d for the number of items that their first d positions share:

        (1 - p) / p * (sum_{d=1..l} X_d / d * p^d + sum_{d=s+1..l} X_s (d - s) / (s d) * p^d)
            + ((X_l - X_s) / l + X_s / s) * p^l

    >>> round(rank_biased_overlap("abcd", "abdc"), 3), round(rank_biased_overlap("abcd", "bacd"), 3)  # the end, the top
    (0.973, 0.9)

    An empty slate has no head to go by: 0 beside any other, 1 beside another empty one.
    persistence: p, above 0 and below 1.
    Source: Webber, Moffat and Zobel, ACM TOIS 28(4), 2010, eq. 32 (RBO_ext for rankings of unequal length, no ties).
    """
    short, long = sorted((first, second), key=len)
    n_short, n_long, p = len(short), len(long), persistence
    if not n_short:
        return float(not n_long)
    common = _common_by_depth(short, long)
    depth = np.arange(1, n_long + 1)
    at_end, at_short = common[-1], common[n_short - 1]
    below = np.maximum(depth - n_short, 0)  # the shorter slate is taken to go on as it was
    agreement = common / depth + at_short * below / (n_short * depth)
    seen = (1 - p) / p * (agreement @ p**depth)
    return float(seen + ((at_end - at_short) / n_long + at_short / n_short) * p**n_long)


def kendall_tau(first: Items, second: Items) -> float | None:
    """Rank correlation of the items both show, -1 to 1; None for fewer than two."""
    # The server imports this room and compares nothing.
    from scipy.stats import kendalltau  # noqa: PLC0415 see above

    rank_in_second = {item: at for at, item in enumerate(second)}
    ranks = [rank_in_second[item] for item in first if item in rank_in_second]
    return float(kendalltau(range(len(ranks)), ranks).statistic) if len(ranks) > 1 else None


def _common_by_depth(short: Items, long: Items) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n_long,): how many items the two share among their first 1, 2, ... positions."""
    in_short, in_long, common, n_common = set(), set(), [], 0
    for at, item in enumerate(long):
        in_long.add(item)
        n_common += item in in_short
        if at < len(short):
            in_short.add(short[at])
            n_common += short[at] in in_long
        common.append(n_common)
    return np.array(common, np.float64)
