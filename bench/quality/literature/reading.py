"""The three forms of file; a line that is not of its form is an error that names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import SourceError

Event = tuple[str, str, int]  # user_id, item_id, epoch seconds
ItemsByUser = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class LeftOut:
    """NCF's form. test: by person, the one item left out; negatives: by person, those it is ranked among."""

    train: tuple[Event, ...]
    test: Mapping[str, str]
    negatives: ItemsByUser


@dataclass(frozen=True)
class Baskets:
    """LightGCN's form: items without order or time."""

    train: ItemsByUser
    test: ItemsByUser


@dataclass(frozen=True)
class Sequences:
    """Each person's items, oldest first."""

    items: ItemsByUser


def read_literature(folder: Path) -> LeftOut | Baskets | Sequences:
    """What a folder holds, by the names of its files; raises SourceError where it holds none of the forms."""
    ratings = sorted(folder.glob("*.train.rating"))
    if len(ratings) == 1:
        return read_left_out(ratings[0].with_name(ratings[0].name.removesuffix(".train.rating")))
    if (folder / "train.txt").is_file():
        return Baskets(read_lines_of_items(folder / "train.txt"), read_lines_of_items(folder / "test.txt"))
    texts = sorted(folder.glob("*.txt"))
    if len(texts) == 1:
        return Sequences(read_lines_of_items(texts[0]))
    raise SourceError(
        f"{folder} holds {len(ratings)} files *.train.rating, no train.txt, and {len(texts)} files *.txt.",
        "Name a folder with one data set in one of the forms of bench/quality/literature/__init__.py.",
    )


def read_left_out(stem: Path) -> LeftOut:
    """<stem>.train.rating, .test.rating and .test.negative; raises SourceError where two of them disagree."""
    train, test_path, negative_path = (
        stem.with_name(f"{stem.name}.{end}") for end in ("train.rating", "test.rating", "test.negative")
    )
    test = {user: item for user, item, _ in _ratings(test_path)}
    negatives: dict[str, tuple[str, ...]] = {}
    for number, cells in _lines(negative_path, "\t"):
        user, _, item = cells[0].strip("()").partition(",")
        if test.get(user) != item.strip():
            raise _wrong(negative_path, number, f"({user},{test.get(user)}) as in {test_path.name}", cells[0])
        negatives[user] = tuple(cells[1:])
    if negatives.keys() != test.keys():
        missing = sorted(test.keys() - negatives.keys())[:3]
        raise SourceError(f"{negative_path} has no line for {', '.join(missing)}.", f"Compare it with {test_path}.")
    return LeftOut(tuple(_ratings(train)), test, negatives)


def read_lines_of_items(path: Path) -> dict[str, tuple[str, ...]]:
    """`user item item ...` a line; a person without items is left out. Raises SourceError for a second line of one."""
    items: dict[str, tuple[str, ...]] = {}
    for number, cells in _lines(path, None):
        if cells[0] in items:
            raise _wrong(path, number, "one line a person", f"a second line of {cells[0]}")
        if len(cells) > 1:
            items[cells[0]] = tuple(cells[1:])
    return items


def _ratings(path: Path) -> Iterator[Event]:
    for number, cells in _lines(path, "\t"):
        if len(cells) != 4 or not cells[3].isdigit():
            raise _wrong(path, number, "user, item, rating and epoch seconds, parted by tabs", "\t".join(cells))
        yield cells[0], cells[1], int(cells[3])


def _lines(path: Path, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """The numbers of the lines that hold anything, and their cells."""
    if not path.is_file():
        raise SourceError(f"{path} is not there.", "Bring every file of the data set.")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            yield number, [cell.strip() for cell in line.strip().split(separator)]


def _wrong(path: Path, number: int, expected: str, found: str) -> SourceError:
    return SourceError(f"{path}, line {number}: expected {expected}, found {found!r}.", "Mend the line, or remove it.")
