"""The files of an export by the table that they are parts of, and what the columns of each table are guessed to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from contracts.settings.files import InteractionColumns, ItemColumns, UserColumns, required_fields
from contracts.settings.group import Group
from sources.inspection.agreed_writing import agreed_samples
from sources.inspection.column_relations import column_relations
from sources.inspection.first_look import SAMPLE_ROWS, FirstLook
from sources.inspection.roles import Guess, guess_table
from sources.inspection.sampled_columns import SampledColumn, sampled_columns

COLUMNS: Mapping[str, type[Group]] = {"interactions": InteractionColumns, "items": ItemColumns, "users": UserColumns}


@dataclass
class FileGroup:
    """The files of one table, how they are written, and what their columns are guessed to be.

    rows: a sample of the rows of all of them, every cell as text.
    """

    looks: tuple[FirstLook, ...]
    samples: Mapping[str, SampledColumn]
    guess: Guess | None
    rows: pl.DataFrame

    @property
    def recognised(self) -> Guess:
        """The guess; raises ValueError where there is none."""
        if self.guess is None:
            raise ValueError(f"{self.names} are no table")
        return self.guess

    @property
    def names(self) -> list[str]:
        return sorted(look.file.name for look in self.looks)


def group_files(looks: Sequence[FirstLook]) -> list[FileGroup]:
    """Group the files that are parts of one table: those with the same columns, written the same way.

    So are files of which the mapping reads the same columns; those of JSON lines may lack optional columns.
    """
    alike: dict[tuple[object, ...], list[FirstLook]] = {}
    for look in looks:
        alike.setdefault(look.likeness, []).append(look)
    groups: list[FileGroup] = []
    # The fullest first: the others are compared with it.
    for group in sorted(map(_file_group, alike.values()), key=_weight_of_mapping, reverse=True):
        larger = next((one for one in groups if _belongs_to(group, one)), None)
        if larger is None:
            groups.append(group)
        else:
            looks_of_both = larger.looks + group.looks
            larger.looks = tuple(sorted(looks_of_both, key=lambda look: (look.is_ascii, look.file.name)))
    for one in groups:
        one.samples = agreed_samples(one.samples, one.looks)
    order = {look.file.name: position for position, look in enumerate(looks)}
    return sorted(groups, key=lambda group: min(order[name] for name in group.names))


def _weight_of_mapping(group: FileGroup) -> int:
    return len(group.guess.columns) if group.guess else 0


def _belongs_to(group: FileGroup, larger: FileGroup) -> bool:
    """Whether the mapping of the larger group reads this one too."""
    if group.guess is None or larger.guess is None or group.guess.table != larger.guess.table:
        return False
    one, other = group.looks[0], larger.looks[0]
    are_written_alike = (one.settings.format, one.settings.separator) == (
        other.settings.format,
        other.settings.separator,
    )
    encodings = {one.settings.encoding, other.settings.encoding}
    # ASCII is part of every encoding but the wide ones.
    is_wide = any(encoding.startswith(("utf-16", "utf-32")) for encoding in encodings)
    fits = len(encodings) == 1 or (not is_wide and (one.is_ascii or other.is_ascii))
    theirs, ours = group.guess.columns.items(), larger.guess.columns.items()
    is_json = (one.settings.format or one.file.format) == "jsonl" == (other.settings.format or other.file.format)
    same_format = one.file.format == other.file.format
    needed = required_fields(COLUMNS[group.guess.table]) <= set(group.guess.columns)
    return are_written_alike and same_format and fits and (theirs == ours or (is_json and needed and theirs <= ours))


def _file_group(looks: list[FirstLook]) -> FileGroup:
    # Some rows of each file: in those of one day nobody comes back.
    rows = pl.concat([look.sample.head(SAMPLE_ROWS // len(looks) + 1) for look in looks], how="diagonal")
    first = sampled_columns(looks[0])
    whole = sampled_columns(replace(looks[0], sample=rows)) if len(looks) > 1 else first
    samples = {name: column.written_like(first.get(name, column)) for name, column in whole.items()}
    return FileGroup(tuple(looks), samples, guess_table(samples, column_relations(rows, samples)), rows)
