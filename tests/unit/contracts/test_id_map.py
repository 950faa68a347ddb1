"""Ids to indices and back: a dict is the oracle of the hash table in a file."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contracts.id_map
from contracts.artefact import save_artefact
from contracts.errors import ShapeMismatch
from contracts.fingerprint import fingerprint_json
from contracts.id_map import UNKNOWN, IdMap
from contracts.texts import Texts

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
HALF_A_CHARACTER = "\ud800"  # which a request may name
ASKED = st.lists(st.text(max_size=4) | st.just(HALF_A_CHARACTER), max_size=30)


def saved_and_loaded(ids: IdMap) -> IdMap:
    with tempfile.TemporaryDirectory() as scratch:
        save_artefact(Path(scratch), "ids", built_with={}, arrays=ids.arrays("ids"))
        return IdMap.load(Path(scratch), "ids")


@given(st.lists(NAMES, unique=True), ASKED, st.booleans())
def test_every_id_has_its_index_and_every_other_text_none(names: list[str], others: list[str], by_dict: bool) -> None:
    expected = {name: index for index, name in enumerate(names)}
    asked = [*names, *others, *reversed(names)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts.id_map, "NAMES_PER_ID", -1 if by_dict else np.inf)
        for ids in (IdMap.in_order(names), saved_and_loaded(IdMap.in_order(names))):
            assert ids.indices(asked).tolist() == [expected.get(name, UNKNOWN) for name in asked]
            assert [ids.index(name) for name in asked] == [expected.get(name, UNKNOWN) for name in asked]
            assert [name in ids for name in asked] == [name in expected for name in asked]
            assert ids.external(np.arange(len(names))) == names
            assert ids == IdMap.in_order(names)
            assert ids.fingerprint == fingerprint_json(names)


@given(st.lists(NAMES))
def test_sorted_they_stand_in_the_order_of_their_texts(names: list[str]) -> None:
    assert tuple(IdMap.of(names).ids) == tuple(sorted(set(names)))


def test_ids_that_want_one_slot_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "crc32", lambda _: 15)  # the last of 16: the search goes on at the first
    ids = IdMap.in_order([f"i{number}" for number in range(7)])
    assert ids.slots.tolist() == [1, 2, 3, 4, 5, 6, *[UNKNOWN] * 9, 0]
    assert [ids.index(f"i{number}") for number in range(9)] == [*range(7), UNKNOWN, UNKNOWN]


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="An id map of 3 ids holds only 2 different ones"):
        IdMap.in_order(["a", "b", "a"])


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([0, 1, 1, 0, 1, 0, 1, 0], "slots of 0 to 1, of 2 ids"),  # no free one: a search would never end
        ([0, 1, -1, -1, -1, -1, -1, 2], "slots of -1 to 2, of 2 ids"),
        ([0, 1, -1, -1, -1, -1, -1, -2], "slots of -2 to 1, of 2 ids"),
        ([0, 1, -1, -1], "expected <i4 of 8"),
    ],
)
def test_slots_that_no_search_could_walk_are_refused(tmp_path: Path, slots: list[int], message: str) -> None:
    broken = IdMap(Texts.of(["a", "b"]), np.array(slots, np.int32))
    save_artefact(tmp_path, "ids", built_with={}, arrays=broken.arrays("ids"))
    with pytest.raises(Exception, match=message):
        IdMap.load(tmp_path, "ids")


def test_named_items_are_their_ids_and_only_another_map_looks_them_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, other = IdMap.of(["a", "b", "c"]), IdMap.of(["b", "c", "d"])
    named = ids.named(np.array([2, 0], np.int32))
    assert (list(named), named[0], named[:1], len(named), bool(ids.named(named.item_idx[:0]))) == (
        ["c", "a"],
        "c",
        ["c"],
        2,
        False,
    )
    assert other.indices(named).tolist() == [1, UNKNOWN]
    monkeypatch.setattr(IdMap, "_looked_up", lambda *_: pytest.fail("looked up"))
    assert ids.indices(named).tolist() == [2, 0]
