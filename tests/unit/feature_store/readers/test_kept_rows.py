from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.readers.kept_rows import KeptRows

N_ITEMS = 12


def row_of(item_idx: np.ndarray) -> np.ndarray:
    return np.stack([item_idx, -item_idx], axis=1).astype(np.float32)


@given(st.lists(st.lists(st.integers(-1, N_ITEMS - 1), max_size=6), max_size=12), st.integers(0, 8))
def test_what_is_found_is_what_was_kept_of_that_item(batches, most_kept):
    kept = KeptRows(N_ITEMS, 2, most_kept)
    for batch in batches:
        items = np.array(batch, np.int32)
        there, values, written = kept.find(items)
        np.testing.assert_array_equal(values, row_of(items[there]))
        np.testing.assert_array_equal(written, 100 + items[there])
        assert not there[items < 0].any()
        kept.keep(items, row_of(items), 100 + items.astype(np.int64))
        if len(set(batch) - {-1}) <= most_kept:
            assert kept.find(items)[0].tolist() == (items >= 0).tolist()


def test_past_its_bound_it_begins_anew():
    kept = KeptRows(N_ITEMS, 2, most_kept=3)
    for batch in ([1, 2], [3, 4]):
        items = np.array(batch, np.int32)
        kept.keep(items, row_of(items), items.astype(np.int64))
    assert kept.find(np.array([1, 2, 3, 4], np.int32))[0].tolist() == [False, False, True, True]
