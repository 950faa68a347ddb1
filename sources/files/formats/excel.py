"""Excel: one sheet, every cell as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.files.data_files import DataFile
from sources.files.formats.row_batch import RawRows, check_columns
from sources.files.whole_days import with_fingerprints


def excel_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The rows of one sheet, every cell as text, times as ISO; the whole sheet is in memory."""
    sheet = whole_sheet(file, settings)
    check_columns(file.name, sheet.columns, columns)
    rows = pl.int_range(2, 2 + len(sheet), eager=True).alias("row")
    filled = sheet.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    whole = sheet.filter(filled)
    yield RawRows(rows.filter(filled), with_fingerprints(whole.select(columns), whole, settings))


def sheet_names(file: DataFile) -> list[str]:
    """The names of a file's sheets, in their order."""
    import fastexcel  # noqa: PLC0415 - as below

    with file.open() as stream:
        return list(fastexcel.read_excel(stream.read()).sheet_names)


def whole_sheet(file: DataFile, settings: TableFiles) -> pl.DataFrame:
    """The sheet that the settings name, or the first one. Raises SourceError where there is none."""
    import fastexcel  # noqa: PLC0415 - few exports are Excel's

    with file.open() as stream:
        content = stream.read()
    try:
        return fastexcel.read_excel(content).load_sheet(settings.sheet or 0, header_row=0, dtypes="string").to_polars()
    except fastexcel.SheetNotFoundError as error:
        names = ", ".join(fastexcel.read_excel(content).sheet_names)
        raise SourceError(
            f"{file.name} has no sheet `{settings.sheet}`; found {names}.",
            "Mend `sheet` beside its path in params.yaml.",
        ) from error
    except fastexcel.FastExcelError as error:
        raise SourceError(
            f"{file.name} is no whole Excel file: {str(error).splitlines()[0]}.",
            "It was cut short or damaged on the way. Export or copy it again, and compare the sizes.",
        ) from error
