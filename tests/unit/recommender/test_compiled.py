from __future__ import annotations

import numpy as np
import pytest

from recommender.compiled import COUNTS, compiled

TOTAL = """
def total(values):
    so_far = 0
    for value in values:
        so_far += value
    return so_far
"""


def test_a_function_that_cannot_be_kept_is_compiled_all_the_same_and_says_so():
    written_nowhere: dict = {}
    exec(compile(TOTAL, "<nowhere>", "exec"), written_nowhere)
    with pytest.warns(UserWarning, match="total is compiled at every start"):
        total = compiled(COUNTS)(written_nowhere["total"])
    assert total(np.array([1, 2, 4])) == 7


def test_an_array_of_another_type_is_refused():
    @compiled(COUNTS)
    def first(values):
        return values[0]

    read_only = np.array([7, 8])
    read_only.setflags(write=False)
    assert first(read_only) == 7
    with pytest.raises(TypeError, match="No matching definition"):
        first(np.array([7.5]))
