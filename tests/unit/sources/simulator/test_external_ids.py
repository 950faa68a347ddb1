"""External ids say nothing of the number they stand for, and can be read back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sources.simulator.external_ids import ITEM, USER, ids_of, numbers_of, request_ids, visit_ids

NUMBERS = st.lists(st.integers(0, 2**33), min_size=1, max_size=50, unique=True)


@given(NUMBERS)
def test_ids_are_read_back_and_no_two_are_the_same(numbers):
    ids = ids_of(USER, np.array(numbers))
    assert numbers_of(USER, ids).tolist() == numbers
    assert ids.n_unique() == len(numbers)
    assert ids.str.len_chars().unique().to_list() == [11]


@given(st.text(max_size=12))
def test_what_is_no_id_is_nobodys(text):
    number = int(numbers_of(ITEM, [text])[0])
    assert number == -1 or ids_of(ITEM, np.array([number])).to_list() == [text]


def test_an_id_of_a_person_is_none_of_an_item():
    assert numbers_of(ITEM, ids_of(USER, np.arange(3))).tolist() == [-1, -1, -1]


def test_ids_come_in_no_order():
    ids = ids_of(USER, np.arange(1000))
    assert ids.to_list() != ids.sort().to_list()
    assert ids.str.slice(1, 2).n_unique() > 200  # of 256: neighbours have nothing in common


def test_no_two_visits_or_requests_share_an_id():
    person, day = np.meshgrid(np.arange(200), np.arange(50))
    assert visit_ids(person.ravel(), day.ravel()).n_unique() == 200 * 50
    pages = np.tile(np.arange(40), 200)
    assert request_ids(np.repeat(np.arange(200), 40), 3, pages).n_unique() == 200 * 40
