from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.artefact import Meta
from contracts.errors import SettingsError
from recommender.candidates import CandidateSet
from recommender.proposals import Proposals, best_first, best_of_one
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from tests.recommender_worlds import gathered

N_ITEMS = 10


@dataclass(frozen=True)
class EncodedList:
    queries: QueryBatch
    listed: tuple[int, ...]

    def score(self, items):
        place = {item: N_ITEMS - place for place, item in enumerate(self.listed)}
        return np.array([place.get(int(item), np.nan) for item in items.item_idx], np.float32)

    def propose(self, k) -> Proposals:
        items = RaggedItems.of([np.array(self.listed, np.int32)] * len(self.queries))
        return best_first(items.rows, items.item_idx, self.score(items), len(items), k, self.queries.excluded.keys)


@dataclass(frozen=True)
class ListedGenerator:
    """Proposes the items it is told, in that order; its score is N_ITEMS minus the place, NaN for other items."""

    name: str
    listed: tuple[int, ...]
    catalogue_fingerprint: str = "c0ffee"

    def encode(self, queries):
        return EncodedList(queries, self.listed)

    def save(self, folder: Path) -> Meta:
        raise NotImplementedError


LEFT = ListedGenerator("left", (5, 3, 8))
RIGHT = ListedGenerator("right", (3, 9, 1))
QUERY = RetrievalQuery(0)


def both(quotas: dict[str, int], n_ranked: int = 100):
    return gathered({"left": LEFT, "right": RIGHT}, QUERY, quotas, n_ranked)


def source_names(candidates: CandidateSet) -> list[str]:
    return [candidates.names[source] for source in candidates.sources]


def test_the_union_stands_in_the_order_of_the_best_place_and_then_of_the_index():
    # First places: 5 by left, 3 by right. Second: 9 by right (3 is there). Third: 8 by left, 1 by right.
    assert both({"left": 3, "right": 3}).item_idx.tolist() == [3, 5, 9, 1, 8]


def test_each_candidate_has_every_generators_score_and_rank():
    found = both({"left": 2, "right": 3})
    assert found.names == ("left", "right")
    assert found.item_idx.tolist() == [3, 5, 9, 1]
    np.testing.assert_array_equal(found.scores, [[9, 10], [10, np.nan], [np.nan, 9], [np.nan, 8]])
    np.testing.assert_array_equal(found.ranks, [[2, 1], [1, 4], [3, 2], [3, 3]])
    np.testing.assert_array_equal(found.proposed, [[True, True], [True, False], [False, True], [False, True]])


def test_the_source_is_who_placed_the_item_best():
    assert source_names(both({"left": 3, "right": 3})) == ["right", "left", "right", "right", "left"]


def test_the_source_is_the_first_by_name_where_two_placed_it_alike():
    twins = {"b": ListedGenerator("b", (4,)), "a": ListedGenerator("a", (4,))}
    assert source_names(gathered(twins, QUERY, {"a": 1, "b": 1}, 5)) == ["a"]


def test_a_quota_of_nothing_proposes_nothing_and_still_scores():
    found = both({"left": 0, "right": 2})
    assert found.item_idx.tolist() == [3, 9]
    np.testing.assert_array_equal(found.scores[:, 0], [9, np.nan])
    assert not found.proposed[:, 0].any()


def test_a_generator_without_a_quota_is_one_with_a_quota_of_nothing():
    assert both({"right": 2}).item_idx.tolist() == both({"left": 0, "right": 2}).item_idx.tolist()


def test_at_most_as_many_as_are_ranked_are_kept_the_best_placed_ones():
    assert both({"left": 3, "right": 3}, n_ranked=3).item_idx.tolist() == [3, 5, 9]


def test_the_order_of_the_generators_does_not_matter():
    one = gathered({"left": LEFT, "right": RIGHT}, QUERY, {"left": 3, "right": 3}, 4)
    other = gathered({"right": RIGHT, "left": LEFT}, QUERY, {"right": 3, "left": 3}, 4)
    assert one.item_idx.tolist() == other.item_idx.tolist()
    assert one.scores.tobytes() == other.scores.tobytes()
    assert one.ranks.tobytes() == other.ranks.tobytes()


def test_excluded_items_are_no_candidates():
    without = RetrievalQuery(0, excluded=np.array([3, 5], np.int32))
    found = gathered({"left": LEFT, "right": RIGHT}, without, {"left": 3, "right": 3}, 100)
    assert found.item_idx.tolist() == [8, 9, 1]


def test_nobody_proposing_anything_gives_an_empty_set_of_the_right_width():
    found = both({"left": 0, "right": 0})
    assert len(found) == 0
    assert found.scores.shape == found.ranks.shape == (0, 2)
    assert source_names(found) == []


def test_a_quota_for_nobody_is_a_mistake_in_the_settings():
    with pytest.raises(SettingsError, match="names middle; the generators are left, right"):
        both({"middle": 3})


def test_a_quota_of_nothing_may_name_a_generator_that_is_off():
    assert both({"left": 3, "off": 0}).item_idx.tolist() == both({"left": 3}).item_idx.tolist()


def test_ties_at_the_cut_break_by_index():
    items, _ = best_of_one(np.array([9, 2, 7, 4], np.int32), np.array([1, 1, 5, 1], np.float32), 2)
    assert items.tolist() == [7, 2]


def test_items_without_a_score_are_not_proposed():
    items, _ = best_of_one(np.array([1, 2], np.int32), np.array([np.nan, 0.5], np.float32), 5)
    assert items.tolist() == [2]
    assert len(best_of_one(np.array([1], np.int32), np.array([1], np.float32), 0)[0]) == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 30),
            st.sampled_from([-1.5, -0.0, 0.0, 1e-30, 2.0, np.inf, -np.inf, np.nan]),
        ),
        unique_by=lambda row: row[:2],
    ),
    st.integers(0, 8),
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=20),
)
def test_the_best_of_several_rows_are_those_that_sorting_each_row_gives(entries, k, excluded):
    entries = sorted(entries, key=lambda entry: entry[0])
    rows, items = np.array([row for row, *_ in entries], np.int64), np.array([item for _, item, _ in entries], np.int32)
    scores = np.array([score for *_, score in entries], np.float32)
    left_out = np.sort(np.array([row << 32 | item for row, item in excluded], np.int64))
    best = best_first(rows, items, scores, 4, k, left_out)
    for row in range(4):
        own = [
            (-score, item) for at, item, score in entries if at == row and score == score and (at, item) not in excluded
        ]
        expected = sorted(own)[:k]
        assert best.of_query(row)[0].tolist() == [item for _, item in expected]
        np.testing.assert_array_equal(best.of_query(row)[1], np.float32([-score for score, _ in expected]))


@given(
    st.lists(st.lists(st.integers(0, 12), unique=True, max_size=6), max_size=5),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
    st.integers(1, 9),
)
def test_the_union_is_the_one_that_a_walk_over_all_proposals_gives(lists, quotas, n_ranked):
    generators = {f"g{at}": ListedGenerator(f"g{at}", tuple(listed)) for at, listed in enumerate(lists)}
    quota = {name: quotas[at] for at, name in enumerate(generators)}
    found = gathered(generators, QUERY, quota, n_ranked)
    ranks: dict[int, dict[str, int]] = {}
    for name, generator in generators.items():
        for place, item in enumerate(generator.listed[: quota[name]]):
            ranks.setdefault(item, {})[name] = place + 1
    kept = sorted(ranks, key=lambda item: (min(ranks[item].values()), item))[:n_ranked]
    assert found.item_idx.tolist() == kept
    assert found.ranks.tolist() == [[ranks[item].get(name, quota[name] + 1) for name in generators] for item in kept]
    assert found.proposed.tolist() == [[name in ranks[item] for name in generators] for item in kept]
    assert source_names(found) == [min(ranks[item], key=lambda name: (ranks[item][name], name)) for item in kept]
