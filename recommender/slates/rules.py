"""The rules of a placement on the ranked candidates: boosts move scores, and pins, promotions and limits fill places.

Every rule is a bitmap over the catalogue, so what it says of candidates is one look-up for all of them. Scores are
moved before the candidates are put in order; places are filled after, from the first to the last, each by the best
candidate that the rules let stand there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.compiled import COUNTS, INDICES, NUMBER, SUMS_TABLE, TABLE, compiled, inlined
from recommender.ragged import Offsets, lengths_of, offsets_of, rows_of, spans

Positions = npt.NDArray[np.intp]
Masks = npt.NDArray[np.int64]  # of each candidate, a bit for each rule of a kind

ROUNDING: Final = 1e-9  # a share of 0.3 is three places in ten, whatever 0.3 is in binary

# How well a candidate stands at a place, best first: owed to n promotions is -n, and then of none, more than a share,
# past a limit.
FREE: Final = 1
BEYOND_SHARE: Final = 2
BEYOND_LIMIT: Final = 3
NEVER: Final = 4


@dataclass(frozen=True)
class Boost:
    """strength: what it adds to the scores of these items, in spreads between a request's best and worst candidate."""

    name: str
    items: AllowedItems
    strength: float


@dataclass(frozen=True)
class Pin:
    """The best candidate among these items stands at this position, from 1."""

    name: str
    items: AllowedItems
    position: int


@dataclass(frozen=True)
class Promotion:
    """These items take floor(i * share) of the first i places, for every i, and no others.

    Of several promotions one may be late: two may be owed one place, and an item of two waits until both are owed. So
    a promotion of a part of another one has no more than the share of that one.
    strict: rather a shorter slate than more of them, where nothing else is left.
    """

    name: str
    items: AllowedItems
    share: float
    strict: bool


@dataclass(frozen=True)
class Limit:
    """At most `most` of these items in any window of `within` places, or in the slate where that is 0.

    items: None for every category by itself. strict: rather a shorter slate than more of them.
    """

    name: str
    items: AllowedItems | None
    most: int
    within: int
    strict: bool


@dataclass(frozen=True)
class SlateRules:
    """The rules that hold for a request."""

    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def fills_places(self) -> bool:
        """Whether the order alone does not say what is shown."""
        return bool(self.pins or self.promotions or self.limits)

    @property
    def put_items(self) -> bool:
        """Whether some rule puts items there, of which there must be candidates."""
        return bool(self.pins or self.promotions)

    def names_of(self, item_idx: ItemIdxArray, positions: npt.NDArray[np.integer]) -> list[tuple[str, ...]]:
        """For each item shown, the rules that moved it or put it there; positions: from 1."""
        if not (self.boosts or self.promotions or self.pins):
            return [()] * len(item_idx)
        there = [(boost.name, boost.items.contains(item_idx)) for boost in self.boosts]
        there += [(rule.name, rule.items.contains(item_idx)) for rule in self.promotions]
        there += [(pin.name, pin.items.contains(item_idx) & (positions == pin.position)) for pin in self.pins]
        return [tuple(name for name, holds in there if holds[at]) for at in range(len(item_idx))]


def boosted(scores: FloatArray, offsets: Offsets, item_idx: ItemIdxArray, boosts: Sequence[Boost]) -> FloatArray:
    """(n,) the scores with what the boosts add; offsets: of each query's candidates.

    The unit is the spread of a query's own scores, so that a strength means the same for every ranker and fusion. Where
    all scores are alike, it is 1.
    """
    if not boosts or not len(scores):
        return scores
    added = np.zeros(len(scores), np.float32)
    for boost in boosts:
        added += np.where(boost.items.contains(item_idx), np.float32(boost.strength), np.float32(0))
    spreads = _spreads(scores, offsets)
    return np.asarray(scores + added * spreads[rows_of(offsets)], np.float32)


def _spreads(scores: FloatArray, offsets: Offsets) -> FloatArray:
    """(n_queries,) between the largest and the smallest score of each; 1 where there is none."""
    spreads = np.ones(len(offsets) - 1, np.float32)
    some = np.flatnonzero(lengths_of(offsets))
    starts = offsets[some]
    spreads[some] = np.maximum.reduceat(scores, starts) - np.minimum.reduceat(scores, starts)
    spreads[spreads == 0] = 1
    return spreads


def placed(
    offsets: Offsets, item_idx: ItemIdxArray, k: int, rules: SlateRules, catalogue: Catalogue
) -> tuple[Offsets, Positions]:
    """The k places of each query's slate, filled by its candidates as the rules say.

    offsets, item_idx: the candidates, query by query, best first. Returns (offsets, positions in item_idx), in the
    order of the places. A pinned item stands where it is pinned. Every other place takes a candidate that is owed to
    promotions, to as many as can be, and the best of those; where none is owed, or there is none, the best of no
    promotion. Where none of those is left that keeps the limits, first the shares of promotions and then the limits
    give way, unless they are strict: so there are k items where there are k candidates. Where nothing may stand at a
    place the slate ends before it, and what is pinned behind is not shown.
    """
    groups = _groups(item_idx, rules.limits, catalogue)
    chosen_offsets, chosen = _placed(
        np.ascontiguousarray(offsets, np.int64),
        _masks(item_idx, [rule.items for rule in rules.promotions]),
        np.array([[rule.share, rule.strict] for rule in rules.promotions], np.float64).reshape(-1, 2),
        _masks(item_idx, [pin.items for pin in rules.pins]),
        np.array([pin.position - 1 for pin in rules.pins], np.int64),
        groups.offsets,
        groups.numbers,
        groups.limits,
        np.array([[one.most, one.within or k, one.strict] for one in rules.limits], np.int64).reshape(-1, 3),
        k,
    )
    return chosen_offsets, chosen.astype(np.intp, copy=False)


def _masks(item_idx: ItemIdxArray, rules: Sequence[AllowedItems]) -> Masks:
    """(n,) bit r of a candidate is set where it is one of the items of rule r."""
    masks = np.zeros(len(item_idx), np.int64)
    for bit, items in enumerate(rules):
        masks |= items.contains(item_idx).astype(np.int64) << bit
    return masks


@dataclass(frozen=True)
class _Groups:
    """What limits count: candidate c is of the groups numbers[offsets[c]:offsets[c + 1]], of `limits` beside them."""

    offsets: Offsets
    numbers: npt.NDArray[np.int32]
    limits: npt.NDArray[np.int32]


def _groups(item_idx: ItemIdxArray, limits: Sequence[Limit], catalogue: Catalogue) -> _Groups:
    """A group for each limit on items, one for each category of a limit on every category by itself."""
    rows, numbers, of_limit, n_groups = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for number, limit in enumerate(limits):
        if limit.items is None:
            own_rows, own = _categories(item_idx, catalogue)
            size = len(catalogue.category_names)
        else:
            own_rows = np.flatnonzero(limit.items.contains(item_idx))
            own, size = np.zeros(len(own_rows), np.int64), 1
        rows.append(own_rows)
        numbers.append(own + n_groups)
        of_limit.append(np.full(len(own), number, np.int64))
        n_groups += size
    every_row = np.concatenate(rows)
    order = np.argsort(every_row, kind="stable")
    return _Groups(
        offsets_of(np.bincount(every_row, minlength=len(item_idx))),
        np.concatenate(numbers)[order].astype(np.int32),
        np.concatenate(of_limit)[order].astype(np.int32),
    )


def _categories(item_idx: ItemIdxArray, catalogue: Catalogue) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(candidate, category) of each category that a candidate has."""
    starts = catalogue.category_offsets[item_idx]
    lengths = catalogue.category_offsets[item_idx.astype(np.int64) + 1] - starts
    return np.arange(len(item_idx)).repeat(lengths), catalogue.category_idx[spans(starts, lengths)].astype(np.int64)


@inlined
def _is_of(group: int, candidate: int, grouped: Any) -> int:  # pragma: no cover - compiled
    """1 where the candidate is of the group, 0 where not, and where there is none (-1)."""
    group_offsets, groups = grouped[0], grouped[1]
    if candidate >= 0:
        for at in range(group_offsets[candidate], group_offsets[candidate + 1]):
            if groups[at] == group:
                return 1
    return 0


@inlined
def _most_beside(group: int, window: int, slots: Any, place: int, grouped: Any) -> int:  # pragma: no cover - compiled
    """Of the windows that hold the place, the most items of the group that one of them has already.

    slots: of each place, the candidate that stands there, or -1; those pinned stand there from the beginning.
    """
    k = len(slots)
    first, last = max(0, place - window + 1), min(place, max(0, k - window))
    n = 0
    for other in range(first, min(first + window, k)):
        n += _is_of(group, slots[other], grouped)
    worst = n
    for start in range(first + 1, last + 1):  # one place further: one leaves the window, and one enters
        n -= _is_of(group, slots[start - 1], grouped)
        n += _is_of(group, slots[start + window - 1], grouped)
        worst = max(worst, n)
    return worst


@inlined
def _is_full(at: int, slots: Any, place: int, grouped: Any) -> bool:  # pragma: no cover - compiled
    """Whether the group in entry `at` has as many beside the place as its limit lets it; counted once for a place."""
    _, groups, limit_of_group, limits, counted = grouped
    group, limit = groups[at], limit_of_group[at]
    if counted[group, 0] != place:
        counted[group, 0] = place
        counted[group, 1] = _most_beside(group, limits[limit, 1], slots, place, grouped)
    return bool(counted[group, 1] >= limits[limit, 0])


@inlined
def _n_bits(mask: np.int64) -> int:  # pragma: no cover - compiled
    n = 0
    while mask:
        mask &= mask - np.int64(1)
        n += 1
    return n


@inlined
def _standing(
    candidate: int, promoted: np.int64, owed: np.int64, strict: np.int64, slots: Any, place: int, grouped: Any
) -> int:  # pragma: no cover - compiled
    """How well a candidate stands at a place: -n where it is owed to n promotions, FREE and so on; or NEVER."""
    group_offsets, limit_of_group, limits = grouped[0], grouped[2], grouped[3]
    beyond = promoted & ~owed
    if beyond & strict:
        return NEVER
    found = BEYOND_SHARE if beyond else (-_n_bits(promoted) if promoted else FREE)
    for at in range(group_offsets[candidate], group_offsets[candidate + 1]):
        if _is_full(at, slots, place, grouped):
            if limits[limit_of_group[at], 2]:
                return NEVER
            found = BEYOND_LIMIT
    return found


@inlined
def _best(
    start: int,
    end: int,
    promoted: Any,
    shown: Any,
    owed: np.int64,
    strict: np.int64,
    slots: Any,
    place: int,
    grouped: Any,
) -> int:  # pragma: no cover - compiled
    """The first candidate of those that stand best; -1 where none may stand at this place."""
    best, best_standing = -1, NEVER
    sought = -_n_bits(owed) if owed else FREE
    for candidate in range(start, end):
        if not shown[candidate]:
            found = _standing(candidate, promoted[candidate], owed, strict, slots, place, grouped)
            if found < best_standing:
                best, best_standing = candidate, found
                if found <= sought:
                    break
    return best


@inlined
def _pin(start: int, end: int, pinned: Any, pin_places: Any, slots: Any, shown: Any) -> None:  # pragma: no cover
    """Put the best candidate of each pin at its place, unless another stands there already."""
    for pin in range(len(pin_places)):
        place = pin_places[pin]
        if place < min(len(slots), end - start) and slots[place] < 0:
            for candidate in range(start, end):
                if not shown[candidate] and (pinned[candidate] >> pin) & 1:
                    slots[place], shown[candidate] = candidate, True
                    break


@inlined
def _count(promoted: np.int64, taken: Any) -> None:  # pragma: no cover - compiled
    """One more item that takes of the shares of its promotions."""
    for promotion in range(len(taken)):
        taken[promotion] += (promoted >> promotion) & 1


@inlined
def _owed(taken: Any, shares: Any, n_places: int) -> np.int64:  # pragma: no cover - compiled
    """A bit for each promotion that has taken less than its share of the first n places."""
    owed = np.int64(0)
    for promotion in range(len(taken)):
        if taken[promotion] < np.int64(n_places * shares[promotion, 0] + ROUNDING):
            owed |= np.int64(1) << promotion
    return owed


@compiled(COUNTS, COUNTS, SUMS_TABLE, COUNTS, COUNTS, COUNTS, INDICES, INDICES, TABLE, NUMBER)
def _placed(
    offsets: Offsets,
    promoted: Masks,
    shares: npt.NDArray[np.float64],
    pinned: Masks,
    pin_places: npt.NDArray[np.int64],
    group_offsets: Offsets,
    groups: npt.NDArray[np.int32],
    limit_of_group: npt.NDArray[np.int32],
    limits: npt.NDArray[np.int64],
    k: int,
) -> tuple[Offsets, npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """(offsets, positions) of `placed`.

    shares: (n_promotions, 2) share, strict; limits: (n_limits, 3) most, within, strict.
    """
    n_queries, n_promotions = len(offsets) - 1, len(shares)
    chosen_offsets = np.zeros(n_queries + 1, np.int64)
    chosen = np.empty(min(n_queries * k, offsets[n_queries]), np.int64)
    taken, slots = np.zeros(n_promotions, np.int64), np.empty(k, np.int64)
    shown = np.zeros(offsets[n_queries], np.bool_)
    n_groups = 0
    for at in range(len(groups)):
        n_groups = max(n_groups, groups[at] + 1)
    counted = np.empty((n_groups, 2), np.int64)  # of each group: the place that it was counted for last, and the count
    grouped = (group_offsets, groups, limit_of_group, limits, counted)
    strict, written = np.int64(0), 0
    for promotion in range(n_promotions):
        strict |= np.int64(shares[promotion, 1]) << promotion
    for query in range(n_queries):
        start, end = offsets[query], offsets[query + 1]
        taken[:] = 0
        slots[:] = -1
        counted[:] = -1
        _pin(start, end, pinned, pin_places, slots, shown)
        for place in range(min(k, end - start)):
            if slots[place] < 0:
                owed = _owed(taken, shares, place + 1)
                best = _best(start, end, promoted, shown, owed, strict, slots, place, grouped)
                if best < 0:
                    break
                slots[place], shown[best] = best, True
            _count(promoted[slots[place]], taken)
            chosen[written] = slots[place]
            written += 1
        chosen_offsets[query + 1] = written
    return chosen_offsets, chosen[:written]
