"""Texts in two arrays: a list of texts is the oracle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contracts.texts
from contracts.artefact import save_artefact
from contracts.errors import ArtefactError
from contracts.fingerprint import fingerprint_json
from contracts.texts import Texts

LISTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6))


@given(LISTS, st.data())
def test_they_are_what_they_were_made_of(listed: list[str], data: st.DataObject) -> None:
    texts = Texts.of(listed)
    assert len(texts) == len(listed)
    assert list(texts) == listed
    assert texts[:] == tuple(listed)
    assert texts[-2:] == tuple(listed[-2:])
    assert texts == Texts.of(tuple(listed))
    assert texts != Texts.of([*listed, ""])
    if listed:
        places = data.draw(st.lists(st.integers(0, len(listed) - 1)))
        assert texts.at(np.array(places, np.int32)) == [listed[place] for place in places]
        assert texts[-1] == listed[-1]
    with pytest.raises(IndexError):
        texts[len(listed)]


@given(LISTS, st.integers(1, 4))
def test_their_fingerprint_is_that_of_the_list_however_many_are_decoded_at_once(listed: list[str], n: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts.texts, "TEXTS_AT_ONCE", n)
        assert Texts.of(listed).fingerprint == fingerprint_json(listed)
        assert list(Texts.of(listed)) == listed


@given(LISTS, st.integers(1, 4))
def test_saved_and_loaded_they_are_the_same(listed: list[str], n: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts.texts, "TEXTS_AT_ONCE", n)
        save_artefact(Path(scratch), "texts", built_with={}, arrays=Texts.of(listed).arrays("names"))
        assert list(Texts.load(Path(scratch), "names")) == listed


@pytest.mark.parametrize(
    ("offsets", "utf8", "message"),
    [
        ([], b"", "no offsets"),
        ([1, 2], b"ab", "no offsets"),
        ([0, 1], b"ab", "no offsets"),
        ([0, 3], b"ab", "no offsets"),
        ([0, 2, 1, 2], b"ab", "no offsets"),
        ([0, 1, 2], "é".encode(), "begin within a character"),
        ([0, 2], b"\xff\xfe", "invalid start byte"),
        ([0, 1], b"\xc3", "unexpected end of data"),
    ],
)
def test_arrays_that_are_no_texts_are_refused(tmp_path: Path, offsets: list[int], utf8: bytes, message: str) -> None:
    broken = Texts(np.array(offsets, np.int64), np.frombuffer(utf8, np.uint8))
    save_artefact(tmp_path, "texts", built_with={}, arrays=broken.arrays("names"))
    with pytest.raises((ArtefactError, ValueError), match=message):
        Texts.load(tmp_path, "names")
