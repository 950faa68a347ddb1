"""The mapping of one table as params.yaml has it: where its files lie, how they are written, which column is which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from sources.files.data_files import find_files
from sources.inspection.file_groups import FileGroup
from sources.inspection.roles import Guess
from sources.inspection.sampled_columns import SampledColumn

UNSTATED_ZONE = "UTC"


def table_mapping(where: str, table: str, group: FileGroup, root: str, comments: dict[str, str]) -> dict[str, Any]:
    """The mapping of one table. where: its place under `files`; comments: takes why."""
    look, guess = group.looks[0], group.recognised
    mapping: dict[str, Any] = {"path": _pattern(group.names, root)}
    if len(group.names) > 1:
        comments[f"{where}.path"] = f"{len(group.names)} files"
    written = look.settings
    mapping |= {name: value for name in ("format", "separator") if (value := getattr(written, name)) is not None}
    if written.encoding != "utf-8":
        mapping["encoding"] = written.encoding
        if look.said is not None:
            comments[f"{table}.encoding"] = f"its first bytes: {look.said.words}"
    used = [group.samples[column] for column in guess.columns.values()]
    if any(column.has_comma for column in used):
        mapping["decimal"] = ","
    mapping |= _times(where, guess, group.samples, comments)
    mapping |= _null_words(where, group, comments)
    mapping["columns"] = dict(guess.columns)
    for role in guess.by_values:
        comments[f"{where}.columns.{role}"] = "guessed by its values: look at it"
    for role, column in guess.columns.items():
        comments.setdefault(f"{where}.columns.{role}", examples_text(group.samples[column]))
    categories = guess.columns.get("categories")
    if table == "items" and categories:
        separator = group.samples[categories].list_separator
        mapping |= {"category_separator": separator} if separator not in (None, "|") else {}
    return mapping


def _times(where: str, guess: Guess, samples: Mapping[str, SampledColumn], comments: dict[str, str]) -> dict[str, Any]:
    times = [samples[guess.columns[role]] for role in ("event_ts", "created_ts", "signup_ts") if role in guess.columns]
    if not times:
        return {}
    time = times[0]
    mapping: dict[str, Any] = {}
    if time.time_format:
        mapping["time_format"] = time.time_format
        comments[f"{where}.time_format"] = f"as in {time.examples[0]}"
        if time.other_format:
            comments[f"{where}.time_format"] += f"; {time.other_format} reads them all too: look at it"
    elif time.time not in (None, "iso"):
        mapping["time_unit"] = time.time
        comments[f"{where}.time_unit"] = f"by its size: {time.examples[0]}"
    if not time.names_zone:
        mapping["time_zone"] = UNSTATED_ZONE
        comments[f"{where}.time_zone"] = "a guess: the times name no zone; write whose clock it is"
    return mapping


def _null_words(where: str, group: FileGroup, comments: dict[str, str]) -> dict[str, Any]:
    used = group.recognised.columns.values()
    words = {(word, column) for look in group.looks for column in used for word in look.null_words.get(column, ())}
    if not words:
        return {}
    columns = ", ".join(sorted({column for _, column in words}))
    comments[f"{where}.null_words"] = f"they stand in {columns}: take out what is a word there"
    return {"null_words": sorted({word for word, _ in words})}


def examples_text(column: SampledColumn) -> str:
    """Some cells of a column, in words."""
    return "e.g. " + ", ".join(_short(one) for one in column.examples)


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
    # Digits they share are this month or year; the next file will have others.
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
