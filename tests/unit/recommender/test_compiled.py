from __future__ import annotations

import os

import numpy as np
import pytest

from recommender import compiled as compiled_module
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


def test_every_checkout_finds_what_was_compiled_of_the_same_module(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_module, "KEPT", tmp_path / "kept")
    folders = []
    for checkout, source in (("one", TOTAL), ("another", TOTAL), ("changed", TOTAL + "\n")):
        module = tmp_path / checkout / "module.py"
        module.parent.mkdir()
        module.write_text(source)
        # Of a module, as every function that is kept: Numba pickles another one with all it can reach.
        own: dict = {"__name__": "module"}
        exec(compile(source, str(module), "exec"), own)
        total = compiled(COUNTS)(own["total"])
        assert total(np.array([1, 2])) == 3
        folders.append({folder.name for folder in (tmp_path / "kept").iterdir()})
    assert folders[0] == folders[1]
    assert len(folders[2]) == 2


def test_of_many_folders_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_module, "MOST_KEPT", 2)
    for number in range(4):
        folder = tmp_path / f"content-{number}"
        assert compiled_module._is_made(folder)
        os.utime(folder, (number + 1, number + 1))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["content-2", "content-3"]
