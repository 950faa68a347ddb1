"""What a column's cells look like: numbers, times, ids, words; from a sample, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import polars as pl

from contracts.settings.files import TableFiles, TimeUnit
from sources.files.cells import number, with_point
from sources.files.times import PLAUSIBLE, guess_unit, read_time
from sources.inspection.first_look import FirstLook

NEARLY_ALL = 0.95
FEW_WORDS = 40
FEW_CODES = 12
FEW_CELLS = 20  # looked at before the others
FIRST_PLAUSIBLE = datetime.fromtimestamp(PLAUSIBLE[0], UTC)
DATE_FORMATS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y",
)  # fmt: skip
CLOCK_FORMATS = (" %H:%M:%S", " %H:%M", "", " %H", " %I:%M:%S %p", " %I:%M %p", ", %H:%M:%S", ", %H:%M")
COMPACT_DATE = "%Y%m%d"  # the only one that digits alone can be
TIME_FORMATS = (
    *(date + clock for date in DATE_FORMATS for clock in CLOCK_FORMATS),
    "%Y-%m-%d %H",
    "%a %b %d %H:%M:%S %z %Y",
    "%a, %d %b %Y %H:%M:%S %z",
)
POINT_NUMBER = r"^\s*-?\d+\.\d+\s*$"
COMMA_NUMBER = r"^\s*-?\d{1,3}(\.\d{3})*,\d+\s*$|^\s*-?\d+,\d+\s*$"
NAMELIKE = re.compile(r"[^\W\d_]{3}")
ORDER_NUMBER = re.compile(r"\s*#\w*\d+\s*$")
LIST_SEPARATORS = ("|", ";", ">", "/", ",")


@dataclass(frozen=True)
class SampledColumn:
    """One column. distinct_share: of the filled cells; time: the unit its cells are times in, None if they are none.

    time_format: where they are in no unit but written some other way; other_format: another one that reads them all;
    names_zone: False where a zone must be stated. is_whole: also where numbers became floats (17850.0). n_negative,
    n_missing: of the cells. words: each cell and how often, where these are few.
    """

    name: str
    n_filled: int
    n_distinct: int
    is_number: bool
    is_whole: bool
    has_comma: bool
    is_list: bool
    list_separator: str | None
    time: TimeUnit | None
    time_format: str | None
    other_format: str | None
    names_zone: bool
    examples: tuple[str, ...]
    n_negative: int = 0
    n_missing: int = 0
    words: Mapping[str, int] = field(default_factory=dict)

    @property
    def distinct_share(self) -> float:
        return self.n_distinct / self.n_filled if self.n_filled else 0.0

    @property
    def is_time(self) -> bool:
        return self.time is not None or self.time_format is not None

    def written_like(self, first: SampledColumn) -> SampledColumn:
        """This column of several files with the way of writing of the first of them, which another may not share."""
        if not first.n_filled:
            return self
        written = ("is_number", "is_whole", "has_comma", "time", "time_format", "other_format", "names_zone")
        return replace(self, **{name: getattr(first, name) for name in written})

    def numbers_in(self, cells: pl.Series) -> pl.Series:
        """Cells of this column as numbers, null where one is none."""
        return pl.DataFrame({"cell": cells}).select(number(cells, "," if self.has_comma else ".")).to_series()

    @property
    def is_worded(self) -> bool:
        """Whether cells read like names of things, not like codes: letters, and no digits without a space."""
        worded = [bool(NAMELIKE.search(one)) and (" " in one.strip() or one.isalpha()) for one in self.examples]
        return not self.is_number and 2 * sum(worded) > len(worded)

    @property
    def is_order_number(self) -> bool:
        """Whether the cells are numbers behind a `#`, as shops number orders."""
        return bool(self.examples) and all(ORDER_NUMBER.match(one) for one in self.examples)

    @property
    def is_code(self) -> bool:
        """Few whole numbers that repeat: types, ratings, quantities."""
        return self.is_whole and 0 < self.n_distinct <= FEW_CODES < self.n_filled

    @property
    def is_word(self) -> bool:
        """Few texts that repeat and are no numbers: types, groups."""
        return not self.is_number and not self.is_time and 0 < self.n_distinct <= FEW_WORDS


def sampled_columns(look: FirstLook) -> dict[str, SampledColumn]:
    """Each column of a first look, by name."""
    return {name: _sampled_column(look, name) for name in look.sample.columns}


def _sampled_column(look: FirstLook, name: str) -> SampledColumn:
    cells = look.sample[name].fill_null("")
    filled = cells.filter(cells.str.strip_chars() != "")
    is_comma = has_comma(filled)
    numbers = _parsed_numbers(filled, is_comma)
    readings = {} if name in look.is_list else time_readings(look, name, filled)
    unit = next((reading.unit for reading in readings.values()), None)
    form, other = (*(name for name, reading in readings.items() if reading.is_format), None, None)[:2]
    return SampledColumn(
        name=name,
        n_filled=len(filled),
        n_distinct=filled.n_unique(),
        is_number=true_share(numbers.is_not_null()) >= NEARLY_ALL,
        is_whole=true_share(filled.str.contains(r"^\s*-?\d+(\.0+)?\s*$")) >= NEARLY_ALL,
        has_comma=is_comma,
        is_list=name in look.is_list,
        list_separator=_list_separator(filled),
        time=unit,
        time_format=form,
        other_format=other,
        names_zone=_names_zone(look, name, filled, unit, form),
        examples=tuple(filled.unique(maintain_order=True).head(3)),
        n_negative=int((numbers < 0).sum()),
        n_missing=len(cells) - len(filled),
        words=dict(filled.value_counts().iter_rows()) if filled.n_unique() <= FEW_WORDS else {},
    )


def has_comma(filled: pl.Series) -> bool:
    """Whether most cells are numbers with a decimal comma."""
    return true_share(filled.str.contains(COMMA_NUMBER)) > 0.5


def has_point(filled: pl.Series) -> bool:
    """Whether most cells are numbers with a decimal point."""
    return true_share(filled.str.contains(POINT_NUMBER)) > 0.5


def _parsed_numbers(filled: pl.Series, is_comma: bool) -> pl.Series:
    plain = pl.col("cell").str.strip_chars()
    parsed = (with_point(plain) if is_comma else plain).cast(pl.Float64, strict=False)
    return pl.DataFrame({"cell": filled}).select(parsed).to_series()


def true_share(marks: pl.Series) -> float:
    """The share of marks that are true; 0 where there are none."""
    return float(marks.sum()) / len(marks) if len(marks) else 0.0


def _unit(look: FirstLook, name: str, filled: pl.Series) -> TimeUnit | None:
    if name in look.aware | look.naive:
        return "iso"
    return guess_unit(filled)


@dataclass(frozen=True)
class TimeReading:
    """The first and the last time of some cells, read in a unit, or where that is None, by a format."""

    unit: TimeUnit | None
    first: datetime
    last: datetime

    @property
    def is_format(self) -> bool:
        return self.unit is None

    @property
    def span(self) -> timedelta:
        return self.last - self.first

    def joined(self, other: TimeReading) -> TimeReading:
        """Of the cells of both."""
        return replace(self, first=min(self.first, other.first), last=max(self.last, other.last))


def time_readings(look: FirstLook, name: str, filled: pl.Series) -> dict[str, TimeReading]:
    """The ways to read nearly all cells as times, by the name of the unit or the format; the likeliest first.

    Where day and month could be swapped, the format with the shorter span is likelier: an export covers some days in a
    row, and read the wrong way these lie months apart.
    """
    if filled.is_empty():
        return {}
    unit = _unit(look, name, filled)
    if unit is not None:
        return {unit: TimeReading(unit, FIRST_PLAUSIBLE, FIRST_PLAUSIBLE)}
    forms = _possible_formats(filled.head(FEW_CELLS))
    readings = {form: reading for form in forms if (reading := _format_reading(filled, form)) is not None}
    return dict(sorted(readings.items(), key=lambda one: one[1].span))


def _possible_formats(few: pl.Series) -> Sequence[str]:
    """Of TIME_FORMATS, those that may read nearly all of these cells: an export of thousands of columns has few times.

    A format is tried where its signs (`-`, `/`, `:`, ...) stand in the cells; a space may be left out of them.
    """
    if (
        true_share(few.str.contains(r"\d")) < NEARLY_ALL
        or true_share(few.str.contains(r"^\s*-?\d*[.,]\d*\s*$")) >= NEARLY_ALL
    ):
        return ()
    is_there = {sign: true_share(few.str.contains(sign, literal=True)) >= NEARLY_ALL for sign in _SIGNS}
    is_digits = true_share(~few.str.contains(r"^\s*\d+\s*$")) < NEARLY_ALL
    return tuple(
        form
        for form in TIME_FORMATS
        if all(is_there[sign] for sign in _signs(form)) and (form.startswith(COMPACT_DATE) or not is_digits)
    )


def _signs(form: str) -> set[str]:
    return set(re.sub(r"%[-:#.]*\w|\s", "", form))


_SIGNS = set().union(*map(_signs, TIME_FORMATS))


def _format_reading(filled: pl.Series, form: str) -> TimeReading | None:
    settings = TableFiles(time_format=form, time_zone="UTC")
    few = filled.head(FEW_CELLS)
    for cells in (few, filled):  # most formats read none of the first cells
        times = pl.DataFrame({"cell": cells}).select(read_time(cells, settings)).to_series().drop_nulls()
        if len(times) < NEARLY_ALL * len(cells) or times.is_empty() or _halves_a_year(form, cells):
            return None
    first, last = cast("datetime", times.min()), cast("datetime", times.max())
    return TimeReading(None, first, last) if first >= FIRST_PLAUSIBLE else None


def _halves_a_year(form: str, cells: pl.Series) -> bool:
    """Whether a year of four digits stands where the format reads two: %d.%m.%y %H takes 23 of 2023 for hours."""
    return "%y" in form and true_share(cells.str.contains(r"(^|\D)(19|20)\d\d(\D|$)")) >= NEARLY_ALL


def _names_zone(look: FirstLook, name: str, filled: pl.Series, unit: TimeUnit | None, form: str | None) -> bool:
    if form is not None:
        return "%z" in form
    if name in look.naive:
        return False
    if unit != "iso" or name in look.aware:
        return True
    bare = filled.str.contains(r"(:\d\d(\.\d+)?|\d{4}-\d\d-\d\d)\s*$") & ~filled.str.contains(r"[+-]\d\d:\d\d\s*$")
    return not bool(bare.any())


def _list_separator(filled: pl.Series) -> str | None:
    shares = {one: true_share(filled.str.contains(one, literal=True)) for one in LIST_SEPARATORS}
    return next((one for one, share in shares.items() if share > 0.1), None)
