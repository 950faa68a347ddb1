"""Which ids are sound: more than blanks, not endless, and not drawn like a plainer one."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.tables import MAX_ID_LENGTH
from sources.canonical.sound_ids import look_alikes, skeleton, sound_ids

LOOK_LIKE_ALICE = ("\u0430lice", "alice\u200b", "alice ", "\uff41lice", "al\u00adice", "\u0430l\u0456\u0441\u0435")


@pytest.mark.parametrize("twin", LOOK_LIKE_ALICE)
def test_the_plain_one_of_two_that_look_alike_is_sound(twin: str) -> None:
    assert skeleton(twin) == "alice"
    assert look_alikes(pl.Series([twin, "alice", "bob", twin])).to_list() == [twin]
    assert sorted(sound_ids(pl.Series([twin, "alice", None, "bob"]))) == ["alice", "bob"]


def test_all_but_one_of_many_that_look_alike_are_told() -> None:
    assert len(look_alikes(pl.Series([*LOOK_LIKE_ALICE, "alice"]))) == len(LOOK_LIKE_ALICE)
    assert len(look_alikes(pl.Series(LOOK_LIKE_ALICE))) == len(LOOK_LIKE_ALICE) - 1


def test_of_two_ways_to_write_an_accent_the_composed_one_is_kept() -> None:
    assert look_alikes(pl.Series(["Zoe\u0308", "Zo\u00eb"])).to_list() == ["Zoe\u0308"]


def test_ids_of_another_alphabet_that_look_like_no_other_are_sound() -> None:
    ids = ["\u0418\u0432\u0430\u043d", "\u540d\u524d", "Zo\u00eb", "007", "7", "a b"]
    assert sorted(sound_ids(pl.Series(ids))) == sorted(ids)


@pytest.mark.parametrize("nothing", ["", "  ", "\t\n", "x" * (MAX_ID_LENGTH + 1)])
def test_blanks_and_the_endless_are_not_sound(nothing: str) -> None:
    longest = "x" * MAX_ID_LENGTH
    assert sound_ids(pl.Series([nothing, longest])).to_list() == [longest]
