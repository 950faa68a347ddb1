"""What a column's cells look like: numbers, times, ids, words; from a sample, as text."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from contracts.settings.files import TableFiles, TimeUnit
from sources.files.cells import with_point
from sources.files.times import guess_unit, read_time
from sources.inspection.first_look import FirstLook

NEARLY_ALL = 0.95
FEW_WORDS = 40
TIME_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y", "%Y%m%d",
)  # fmt: skip
COMMA_NUMBER = r"^\s*-?\d{1,3}(\.\d{3})*,\d+\s*$|^\s*-?\d+,\d+\s*$"
LIST_SEPARATORS = ("|", ";", ">", "/", ",")


@dataclass(frozen=True)
class SampledColumn:
    """One column. distinct_share: of the filled cells; time: the unit its cells are times in, None if they are none.

    time_format: where they are in no unit but written some other way; other_format: another one that reads them all;
    names_zone: False where a zone must be stated.
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

    @property
    def distinct_share(self) -> float:
        return self.n_distinct / self.n_filled if self.n_filled else 0.0

    @property
    def is_time(self) -> bool:
        return self.time is not None or self.time_format is not None

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
    has_comma = _share(filled.str.contains(COMMA_NUMBER)) > 0.5
    numbers = _numbers(filled, has_comma)
    unit = None if name in look.is_list else _unit(look, name, filled)
    form, other = (None, None) if unit or name in look.is_list else _time_formats(filled)
    return SampledColumn(
        name=name,
        n_filled=len(filled),
        n_distinct=filled.n_unique(),
        is_number=_share(numbers.is_not_null()) >= NEARLY_ALL,
        is_whole=_share(filled.str.contains(r"^\s*-?\d+\s*$")) >= NEARLY_ALL,
        has_comma=has_comma,
        is_list=name in look.is_list,
        list_separator=_list_separator(filled),
        time=unit,
        time_format=form,
        other_format=other,
        names_zone=_names_zone(look, name, filled, unit, form),
        examples=tuple(filled.unique(maintain_order=True).head(3)),
    )


def _numbers(filled: pl.Series, has_comma: bool) -> pl.Series:
    plain = pl.col("cell").str.strip_chars()
    number = (with_point(plain) if has_comma else plain).cast(pl.Float64, strict=False)
    return pl.DataFrame({"cell": filled}).select(number).to_series()


def _share(marks: pl.Series) -> float:
    return float(marks.sum()) / len(marks) if len(marks) else 0.0


def _unit(look: FirstLook, name: str, filled: pl.Series) -> TimeUnit | None:
    if name in look.aware | look.naive:
        return "iso"
    return None if filled.is_empty() else guess_unit(filled)


def _time_formats(filled: pl.Series) -> tuple[str | None, str | None]:
    """The likeliest of the formats that read nearly all cells, and the next one.

    Where day and month could be swapped, the format with the shorter span is likelier: an export covers some days in a
    row, and read the wrong way these lie months apart.
    """
    spans = []
    for order, form in enumerate(TIME_FORMATS if len(filled) else ()):
        settings = TableFiles(time_format=form, time_zone="UTC")
        times = pl.DataFrame({"cell": filled}).select(read_time(filled, settings)).to_series().drop_nulls()
        if len(times) >= NEARLY_ALL * len(filled):
            spans.append((-len(times), times.max() - times.min(), order, form))  # type: ignore[operator]  # both are times
    best = [form for *_, form in sorted(spans)[:2]]
    return (best[0] if best else None), (best[1] if len(best) > 1 else None)


def _names_zone(look: FirstLook, name: str, filled: pl.Series, unit: TimeUnit | None, form: str | None) -> bool:
    if form is not None or name in look.naive:
        return False
    if unit != "iso" or name in look.aware:
        return True
    bare = filled.str.contains(r"(:\d\d(\.\d+)?|\d{4}-\d\d-\d\d)\s*$") & ~filled.str.contains(r"[+-]\d\d:\d\d\s*$")
    return not bool(bare.any())


def _list_separator(filled: pl.Series) -> str | None:
    shares = {one: _share(filled.str.contains(one, literal=True)) for one in LIST_SEPARATORS}
    return next((one for one, share in shares.items() if share > 0.1), None)
