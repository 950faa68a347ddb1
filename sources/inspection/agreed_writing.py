"""How the files of one table write numbers and times: as most of them do, and which files do otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sources.inspection.first_look import FirstLook
from sources.inspection.sampled_columns import SampledColumn, TimeReading, has_comma, has_point, time_readings

N_CELLS = 400  # of a file: enough to see how it writes them, and there may be a thousand files


@dataclass(frozen=True)
class DeviatingFile:
    """A file that writes a column otherwise than most files of its table. found, usual: an example of each."""

    file: str
    column: str
    found: str
    usual: str


@dataclass(frozen=True)
class _Writing:
    """How one file writes one column. decimal: None where no cell shows it."""

    file: str
    example: str
    decimal: str | None
    times: Mapping[str, TimeReading]


def agreed_samples(samples: Mapping[str, SampledColumn], looks: Sequence[FirstLook]) -> dict[str, SampledColumn]:
    """The columns of a table's files, with the decimal sign and the format of times that most of the files have."""
    if len(looks) == 1:
        return dict(samples)
    return {name: _agreed(column, list(_writings(looks, column))) for name, column in samples.items()}


def deviating_files(column: SampledColumn, looks: Sequence[FirstLook]) -> Iterator[DeviatingFile]:
    """The files that the agreed way of writing a column does not read, by name."""
    writings = list(_writings(looks, column)) if len(looks) > 1 else []
    usual = [one for one in writings if _is_alike(one, column)]
    for writing in writings:
        if usual and writing not in usual:
            yield DeviatingFile(writing.file, column.name, writing.example, usual[0].example)


def _writings(looks: Sequence[FirstLook], column: SampledColumn) -> Iterator[_Writing]:
    if not (column.is_number or column.is_time):
        return
    for look in looks:
        if column.name in look.sample.columns:
            cells = look.sample[column.name].drop_nulls().head(N_CELLS)
            filled = cells.filter(cells.str.strip_chars() != "")
            if len(filled):
                yield _writing(look, column, filled)


def _writing(look: FirstLook, column: SampledColumn, filled: pl.Series) -> _Writing:
    decimal = "," if has_comma(filled) else "." if has_point(filled) else None
    times = time_readings(look, column.name, filled) if column.is_time else {}
    telling = filled.filter(filled.str.contains(decimal, literal=True)) if decimal else filled
    return _Writing(look.file.name, str(telling[0]), None if column.is_time else decimal, times)


def _agreed(column: SampledColumn, writings: Sequence[_Writing]) -> SampledColumn:
    if not writings:
        return column
    if column.is_time:
        return _with_agreed_times(column, writings)
    decimals = Counter(writing.decimal for writing in writings)
    return replace(column, has_comma=decimals[","] > decimals["."])


def _with_agreed_times(column: SampledColumn, writings: Sequence[_Writing]) -> SampledColumn:
    """With the reading that fits most files; of several, the one by which all of their times lie closest together."""
    readings: dict[str, TimeReading] = {}
    n_files: Counter[str] = Counter()
    for writing in writings:
        for name, reading in writing.times.items():
            readings[name] = readings[name].joined(reading) if name in readings else reading
            n_files[name] += 1
    ranked = sorted(readings, key=lambda name: (-n_files[name], readings[name].span, list(readings).index(name)))
    if not ranked:
        return column
    best, *others = ranked
    other = next((name for name in others if n_files[name] == n_files[best] and readings[name].is_format), None)
    chosen = readings[best]
    return replace(
        column,
        time=chosen.unit,
        time_format=best if chosen.is_format else None,
        other_format=other if chosen.is_format else None,
    )


def _is_alike(writing: _Writing, column: SampledColumn) -> bool:
    if column.is_time:
        return (column.time_format or column.time) in writing.times
    return writing.decimal is None or (writing.decimal == ",") == column.has_comma
