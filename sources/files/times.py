"""Times as exports write them: numbers in a unit, ISO with or without a zone, or a format of their own."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl

from contracts.calendar import MICROSECONDS_PER_SECOND
from contracts.errors import SourceError
from contracts.settings.files import TableFiles, TimeUnit
from contracts.tables import UTC_TIME

PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000}
# Python's datetime, and so every message, knows the years 1 to 9999 alone.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
# No log is older than the web; a unit that puts most times outside of this is the wrong one.
PLAUSIBLE = (datetime(1990, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())
AWARE = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
MOST = 0.5


def expected_time(settings: TableFiles) -> str:
    """What a time should look like, in words."""
    if settings.time_format:
        return f"a time like {settings.time_format}"
    if settings.time_unit == "iso":
        return "a time like 2024-01-31T12:00:00+01:00"
    return f"a time in {settings.time_unit} since 1970"


def read_time(cells: pl.Series, settings: TableFiles) -> pl.Expr:
    """The column `cell` as UTC times; null where it is no time by the settings."""
    if cells.dtype.is_temporal():
        return _of_type(cells.dtype, settings.time_zone)
    if settings.time_unit != "iso" and settings.time_format is None:
        return _moment(_seconds(settings.time_unit))
    aware, naive = _formats(settings)
    text = _cell_text(settings)
    moments = [text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in aware]
    if settings.time_zone:
        moments += [_in_zone(_naive(text, form), settings.time_zone) for form in naive]
    return pl.coalesce(moments) if moments else pl.lit(None, UTC_TIME)


def skipped_by_clocks(cells: pl.Series, settings: TableFiles) -> pl.Series:
    """Which cells are local times that never were: the clocks of the zone went forward over them."""
    if settings.time_zone is None:
        return pl.repeat(False, len(cells), eager=True)
    return (
        _without_zone(cells, settings)
        & pl.DataFrame({"cell": cells}).select(read_time(cells, settings).is_null()).to_series()
    )


def check_times(cells: pl.Series, settings: TableFiles, file: str, column: str, rows: pl.Series) -> None:
    """Raise SourceError when times name no zone and the settings name none, or when most are in another unit."""
    bare = _without_zone(cells, settings)
    if settings.time_zone is None and bool(bare.any()):
        row, cell = rows.filter(bare)[0], cells.filter(bare)[0]
        raise SourceError(
            f"{file}, row {row}, column {column}: the time {str(cell)!r} names no zone.",
            "Say whose clock it is: set `time_zone` beside its path in params.yaml, such as UTC or Europe/Berlin.",
        )
    if cells.dtype.is_temporal() or settings.time_format:
        return
    filled = cells.cast(pl.String).fill_null("") != ""
    likely = guess_unit(cells.filter(filled).cast(pl.String))
    if likely is not None and likely != settings.time_unit:
        row, cell = rows.filter(filled)[0], cells.filter(filled)[0]
        raise SourceError(
            f"{file}, row {row}, column {column}: found {str(cell)!r}, no plausible time in {settings.time_unit}.",
            f"It looks like {likely}: set `time_unit: {likely}` beside its path in params.yaml.",
        )


def guess_unit(cells: pl.Series) -> TimeUnit | None:
    """The one unit in which most of these texts are plausible times; None where there is none."""
    most = MOST * len(cells)
    numbers = cells.str.strip_chars().cast(pl.Float64, strict=False)
    for unit, per_second in PER_SECOND.items():
        if (numbers / per_second).is_between(*PLAUSIBLE).sum() > most:
            return unit
    is_iso = cells.str.contains(r"^\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$")
    return "iso" if is_iso.sum() > most else None


def _of_type(dtype: pl.DataType, zone: str | None) -> pl.Expr:
    cell = pl.col("cell")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return cell.dt.convert_time_zone("UTC").cast(UTC_TIME)
    return _in_zone(cell.cast(pl.Datetime("us")), zone or "UTC")


def _seconds(unit: TimeUnit) -> pl.Expr:
    return pl.col("cell").cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False) / PER_SECOND[unit]


def _moment(seconds: pl.Expr) -> pl.Expr:
    sound = pl.when(seconds.is_between(FIRST_SECOND, LAST_SECOND)).then(seconds)
    return (sound * MICROSECONDS_PER_SECOND).round().cast(pl.Int64).cast(UTC_TIME)


def _formats(settings: TableFiles) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if settings.time_format is None:
        return AWARE, NAIVE
    return ((settings.time_format,), ()) if _names_zone(settings.time_format) else ((), (settings.time_format,))


def _names_zone(form: str) -> bool:
    return re.search(r"%[:#]*z|%Z|%\+", form) is not None


def _naive(text: pl.Expr, form: str) -> pl.Expr:
    if "%H" in form and "%M" not in form:  # Polars reads no hour without a minute
        return (text + " 00").str.to_datetime(f"{form} %M", time_unit="us", strict=False)
    if any(directive in form for directive in ("%H", "%I", "%T", "%s", "%R", "%X")):
        return text.str.to_datetime(form, time_unit="us", strict=False)
    return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _in_zone(naive: pl.Expr, zone: str) -> pl.Expr:
    # In the hour that a change of clocks repeats the first is meant; an hour that it skips is no time.
    placed = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC").cast(UTC_TIME)


def _without_zone(cells: pl.Series, settings: TableFiles) -> pl.Series:
    """Where a cell is a time that names no zone."""
    if cells.dtype.is_temporal():
        bare = not (isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone)
        return cells.is_not_null() & bare
    if settings.time_unit != "iso" and settings.time_format is None:
        return pl.repeat(False, len(cells), eager=True)
    _, naive = _formats(settings)
    read = [_naive(_cell_text(settings), form).is_not_null() for form in naive]
    return pl.DataFrame({"cell": cells}).select(pl.any_horizontal([pl.lit(False), *read])).to_series()


def _cell_text(settings: TableFiles) -> pl.Expr:
    text = pl.col("cell").cast(pl.String).str.strip_chars()
    return text if settings.time_format else _tidy(text)


def _tidy(text: pl.Expr) -> pl.Expr:
    """`2024-01-31 12:00:00 UTC` as `2024-01-31T12:00:00Z`."""
    return text.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace(r" ?UTC$", "Z")
