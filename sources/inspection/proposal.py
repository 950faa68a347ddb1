"""From a first look at files to the mapping that params.yaml needs: a Files, and the reasons beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from contracts.events import EventType
from contracts.settings.files import Files, InteractionColumns, ItemColumns, UserColumns, required_fields
from contracts.settings.group import Group
from sources.files.data_files import find_files
from sources.files.raw_rows import read_rows
from sources.inspection.column_profiles import FEW_WORDS, Profile, profiles_of
from sources.inspection.first_look import FirstLook
from sources.inspection.role_words import guess_event
from sources.inspection.roles import KEYS, Guess, described_by, guess_table

UNSTATED_ZONE = "UTC"
MOST_IDS = 0.5  # of the ids in the events' sample; a column of another kind shares none with them
COLUMNS: Mapping[str, type[Group]] = {"interactions": InteractionColumns, "items": ItemColumns, "users": UserColumns}
MAX_WORDS = 200  # event types listed; more of them are no types


@dataclass
class Part:
    """The files of one table, how they are written, and what their columns are guessed to be."""

    looks: tuple[FirstLook, ...]
    profiles: Mapping[str, Profile]
    guess: Guess | None

    @property
    def recognised(self) -> Guess:
        """The guess; only for a part that has one."""
        if self.guess is None:
            raise ValueError(f"{self.names} are no table")
        return self.guess

    @property
    def names(self) -> list[str]:
        return sorted(look.file.name for look in self.looks)


@dataclass(frozen=True)
class Proposal:
    """The mapping as params.yaml has it, and what a person should look at before pasting it.

    event_types: word -> how often; comments: dotted key of the mapping -> why; unused: files that are no table.
    """

    files: dict[str, Any]
    event_types: Mapping[str, int]
    comments: Mapping[str, str]
    unused: tuple[str, ...]

    @property
    def settings(self) -> Files:
        return Files.model_validate(self.files)


def parts_of(looks: Sequence[FirstLook]) -> list[Part]:
    """The files by likeness: those with the same columns, written the same way, are one table.

    So are those of which the mapping reads the same columns; in JSON lines some of them may lack what is not needed.
    """
    groups: dict[tuple[object, ...], list[FirstLook]] = {}
    for look in looks:
        groups.setdefault(look.likeness, []).append(look)
    parts: list[Part] = []
    # The fullest first: the others are held against it.
    for part in sorted(map(_part, groups.values()), key=_weight_of_mapping, reverse=True):
        whole = next((one for one in parts if _belongs_to(part, one)), None)
        if whole is None:
            parts.append(part)
        else:
            looks_of_both = whole.looks + part.looks
            whole.looks = tuple(sorted(looks_of_both, key=lambda look: (look.is_ascii, look.file.name)))
    order = {look.file.name: position for position, look in enumerate(looks)}
    return sorted(parts, key=lambda part: min(order[name] for name in part.names))


def _weight_of_mapping(part: Part) -> int:
    return len(part.guess.columns) if part.guess else 0


def _belongs_to(part: Part, whole: Part) -> bool:
    """Whether a mapping of the whole reads the part too."""
    if part.guess is None or whole.guess is None or part.guess.table != whole.guess.table:
        return False
    one, other = part.looks[0], whole.looks[0]
    are_written_alike = (one.settings.format, one.settings.separator) == (
        other.settings.format,
        other.settings.separator,
    )
    fits = one.settings.encoding == other.settings.encoding or one.is_ascii or other.is_ascii
    theirs, ours = part.guess.columns.items(), whole.guess.columns.items()
    is_json = (one.settings.format or one.file.format) == "jsonl" == (other.settings.format or other.file.format)
    same_format = one.file.format == other.file.format
    needed = required_fields(COLUMNS[part.guess.table]) <= set(part.guess.columns)
    return are_written_alike and same_format and fits and (theirs == ours or (is_json and needed and theirs <= ours))


def _part(group: list[FirstLook]) -> Part:
    profiles = profiles_of(group[0])
    return Part(tuple(group), profiles, guess_table(profiles))


def propose(parts: Sequence[Part], root: str) -> Proposal | None:
    """The mapping of the parts found under `root`; None where none of them holds interactions."""
    chosen: dict[str, Part] = {}
    for part in sorted(parts, key=_weight, reverse=True):
        if part.guess is not None:
            chosen.setdefault(part.guess.table, part)
    if "interactions" not in chosen:
        return None
    for part in parts:
        if part.guess is None and (told := _told_by_ids(part, chosen["interactions"], chosen)):
            part.guess = told
            chosen[told.table] = part
    files: dict[str, Any] = {}
    comments: dict[str, str] = {}
    for table in ("interactions", "items", "users"):
        if table in chosen:
            files[table] = _table(table, chosen[table], root, comments)
    words = _event_words(chosen["interactions"], files["interactions"], comments)
    unused = tuple(name for part in parts if part not in chosen.values() for name in part.names)
    return Proposal(files, words, comments, unused)


def _told_by_ids(part: Part, events: Part, chosen: Mapping[str, Part]) -> Guess | None:
    """What a file is that no name tells: items or people, where most ids of the events stand in one of its columns."""
    for table, key in KEYS.items():
        asked = _cells(events, events.recognised.columns[key])
        for column in part.profiles:
            if table not in chosen and len(asked & _cells(part, column)) >= MOST_IDS * len(asked):
                return described_by(part.profiles, table, column)
    return None


def _cells(part: Part, column: str) -> set[str]:
    return {cell for look in part.looks for cell in look.sample[column].drop_nulls().to_list()}


def _weight(part: Part) -> tuple[int, int]:
    """How much speaks for a part among those taken for the same table: of events how many, of the others how much."""
    n_rows, n_columns = sum(len(look.sample) for look in part.looks), len(part.guess.columns) if part.guess else 0
    return (n_rows, n_columns) if part.guess and part.guess.table == "interactions" else (n_columns, n_rows)


def _table(table: str, part: Part, root: str, comments: dict[str, str]) -> dict[str, Any]:
    look, guess = part.looks[0], part.recognised
    said: dict[str, Any] = {"path": _pattern(part.names, root)}
    if len(part.names) > 1:
        comments[f"{table}.path"] = f"{len(part.names)} files"
    written = look.settings
    said |= {name: value for name in ("format", "separator") if (value := getattr(written, name)) is not None}
    if written.encoding != "utf-8":
        said["encoding"] = written.encoding
    used = [part.profiles[column] for column in guess.columns.values()]
    if any(profile.has_comma for profile in used):
        said["decimal"] = ","
    said |= _times(table, guess, part.profiles, comments)
    said |= _null_words(table, part, comments)
    said["columns"] = dict(guess.columns)
    for role in guess.by_values:
        comments[f"{table}.columns.{role}"] = "guessed by its values: look at it"
    for role, column in guess.columns.items():
        comments.setdefault(
            f"{table}.columns.{role}", "e.g. " + ", ".join(_short(one) for one in part.profiles[column].examples)
        )
    categories = guess.columns.get("categories")
    if table == "items" and categories:
        separator = part.profiles[categories].list_separator
        said |= {"category_separator": separator} if separator not in (None, "|") else {}
    return said


def _times(table: str, guess: Guess, profiles: Mapping[str, Profile], comments: dict[str, str]) -> dict[str, Any]:
    times = [profiles[guess.columns[role]] for role in ("event_ts", "created_ts", "signup_ts") if role in guess.columns]
    if not times:
        return {}
    time = times[0]
    said: dict[str, Any] = {}
    if time.time_format:
        said["time_format"] = time.time_format
        comments[f"{table}.time_format"] = f"as in {time.examples[0]}"
        if time.other_format:
            comments[f"{table}.time_format"] += f"; {time.other_format} reads them all too: look at it"
    elif time.time not in (None, "iso"):
        said["time_unit"] = time.time
        comments[f"{table}.time_unit"] = f"by its size: {time.examples[0]}"
    if not time.names_zone:
        said["time_zone"] = UNSTATED_ZONE
        comments[f"{table}.time_zone"] = "a guess: the times name no zone; write whose clock it is"
    return said


def _null_words(table: str, part: Part, comments: dict[str, str]) -> dict[str, Any]:
    used = part.recognised.columns.values()
    where = {(word, column) for look in part.looks for column in used for word in look.null_words.get(column, ())}
    if not where:
        return {}
    columns = ", ".join(sorted({column for _, column in where}))
    comments[f"{table}.null_words"] = f"they stand in {columns}: take out what is a word there"
    return {"null_words": sorted({word for word, _ in where})}


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 30 else f"{flat[:30]}..."


def _pattern(names: list[str], root: str) -> str:
    """A file, a folder or a pattern that finds these files under root and no others, where there is one."""
    if len(names) == 1:
        return names[0]
    head, tail = _shared_start(names), _shared_start([name[::-1] for name in names])[::-1]
    depth = max(name[len(head) : len(name) - len(tail) or None].count("/") for name in names)
    between = "*/" * depth + "*"
    folder = str(PurePosixPath(head).parent) if "/" in head else "."
    # Digits they share are of this month or this year; the next file will have others.
    loose = re.sub(r"\d[\d_-]*$", "", head) + between + re.sub(r"^[\d_-]*\d", "", tail)
    for candidate in (folder, loose):
        if _finds(root, candidate, names):
            return candidate
    return head + between + tail


def _shared_start(names: Sequence[str]) -> str:
    shared = (level[0] for level in takewhile(lambda level: len(set(level)) == 1, zip(*names, strict=False)))
    return "".join(shared)


def _finds(root: str, candidate: str, names: list[str]) -> bool:
    ends = sorted(file.path for file in find_files(root, candidate))
    return len(ends) == len(names) and all(end.endswith(name) for end, name in zip(ends, sorted(names), strict=True))


def _event_words(part: Part, said: dict[str, Any], comments: dict[str, str]) -> Mapping[str, int]:
    """Count the words of the event type, over all rows, and map them; sets what `said` says of them."""
    column = said["columns"].get("event_type")
    if column is None:
        value = said["columns"].get("value")
        is_rating = value is not None and _looks_rated(part.profiles[value])
        said["event_type"] = str(EventType.RATING if is_rating else EventType.VIEW)
        comments["interactions.event_type"] = "a guess: no column says it"
        return {}
    words = _count_words(part, column)
    mapped = {word: guess_event(word) for word in words}
    said["event_types"] = {word: ours and str(ours) for word, ours in mapped.items() if ours != word}
    for word, ours in mapped.items():
        note = "" if ours else "; left out: map it if it says that somebody wanted an item"
        comments[f"interactions.event_types.{word}"] = f"{words[word]:,} rows{note}"
    return words


def _looks_rated(profile: Profile) -> bool:
    return profile.n_distinct <= FEW_WORDS and profile.is_number


def _count_words(part: Part, column: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for look in part.looks:
        for batch in read_rows(look.file, look.settings, [column]):
            words = batch.table[column].cast(pl.String)
            nothing = ["", *look.null_words.get(column, ())]
            for word, n_rows in words.filter(~words.is_in(nothing)).value_counts().iter_rows():
                counts[word] = counts.get(word, 0) + n_rows
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_WORDS])
