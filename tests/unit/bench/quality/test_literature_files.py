"""The three forms of file: what is read of them, and what is refused by name and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.quality.literature.reading import Baskets, LeftOut, Sequences, read_literature
from contracts.errors import SourceError

RATINGS = "7\t30\t5\t100\n8\t30\t1\t90\n"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def left_out(folder: Path, negatives: str = "(7,31)\t32\t33\n") -> Path:
    tests = "7\t31\t4\t200\n"
    return written(folder, toy__train__rating=RATINGS, toy__test__rating=tests, toy__test__negative=negatives)


def test_leave_one_out_is_three_files_of_one_name(tmp_path: Path) -> None:
    task = read_literature(left_out(tmp_path))
    assert task == LeftOut((("7", "30", 100), ("8", "30", 90)), {"7": "31"}, {"7": ("32", "33")})


def test_baskets_are_a_line_a_person_and_who_has_nothing_is_left_out(tmp_path: Path) -> None:
    task = read_literature(written(tmp_path, train__txt="0 5 6\n1 7\n", test__txt="0 8\n1\n"))
    assert task == Baskets({"0": ("5", "6"), "1": ("7",)}, {"0": ("8",)})


def test_a_single_other_text_holds_sequences(tmp_path: Path) -> None:
    assert read_literature(written(tmp_path, Toys__txt="1 9 8 7\n")) == Sequences({"1": ("9", "8", "7")})


@pytest.mark.parametrize(
    ("negatives", "words"),
    [
        ("(7,30)\t32\n", r"toy\.test\.negative, line 1: expected \(7,31\)"),
        ("(9,31)\t32\n", "line 1"),
        ("", "no line for 7"),
    ],
)
def test_negatives_of_another_item_or_person_are_refused(tmp_path: Path, negatives: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read_literature(left_out(tmp_path, negatives))


def test_lines_of_another_form_are_named(tmp_path: Path) -> None:
    left_out(tmp_path)
    (tmp_path / "toy.train.rating").write_text("7\t30\t5\t100\n7 31 5 200\n")
    with pytest.raises(SourceError, match=r"toy\.train\.rating, line 2: expected user, item, rating"):
        read_literature(tmp_path)


def test_a_second_line_of_a_person_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Toys\.txt, line 2: expected one line a person"):
        read_literature(written(tmp_path, Toys__txt="1 9 8 7\n1 5 6 7\n"))


def test_missing_files_and_folders_of_no_form_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="in one of the forms"):
        read_literature(tmp_path)
    with pytest.raises(SourceError, match=r"test\.txt is not there"):
        read_literature(written(tmp_path, train__txt="0 5\n"))
