import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from release.canary.keyed_rows import KeyedRows, key_of

COLUMN = [("seen", "i4")]
KEYS = st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9)))


def as_keys(keys):
    return np.array(keys, np.uint64)


@given(KEYS)
def test_rows_count_like_a_dict(batches):
    rows, counted = KeyedRows(COLUMN), {}
    for batch in batches:
        at = rows.add(as_keys(batch))
        np.add.at(rows.column("seen"), at, 1)
        for key in batch:
            counted[key] = counted.get(key, 0) + 1
    keys, table = rows.in_order_of_keys()
    assert dict(zip(keys.tolist(), table["seen"].tolist(), strict=True)) == counted
    assert keys.tolist() == sorted(counted)


@given(KEYS)
def test_rows_are_numbered_in_the_order_in_which_their_keys_came(batches):
    rows = KeyedRows(COLUMN)
    for batch in batches:
        rows.add(as_keys(batch))
    order = list(dict.fromkeys(key for batch in batches for key in batch))
    assert rows.find(as_keys(order)).tolist() == list(range(len(order)))


def test_a_key_that_never_came_has_no_row():
    rows = KeyedRows(COLUMN)
    assert rows.find(as_keys([3])).tolist() == [-1]
    rows.add(as_keys([3, 5]))
    assert rows.find(as_keys([4, 5, 2**64 - 1])).tolist() == [-1, 1, -1]


def test_the_oldest_are_forgotten_and_the_latest_keep_what_they_counted():
    rows = KeyedRows(COLUMN, most=3)
    for key in range(5):
        at = rows.add(as_keys([key]))
        rows.column("seen")[at] = 10 + key
    assert len(rows) == 5
    rows.add(as_keys([5]))
    assert rows.find(as_keys(range(6))).tolist() == [-1, -1, -1, 0, 1, 2]
    assert rows.column("seen").tolist() == [13, 14, 0]
    rows.add(as_keys([6]))
    assert rows.column("seen").tolist() == [13, 14, 0, 0]


def test_a_text_has_the_same_key_in_every_process():
    assert key_of("ann") == 11957940740637538957
    assert key_of("half a pair: \ud800") != key_of("")
