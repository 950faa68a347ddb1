"""Which formats of times a column is tried for: of numbers and words few, and none that would have read it."""

from __future__ import annotations

import polars as pl
import pytest

from sources.inspection.sampled_columns import TIME_FORMATS, _format_reading, _possible_formats


@pytest.mark.parametrize(
    ("cells", "n_tried"),
    [
        (["17", "3", " 20240131 "], 2),
        (["red", "blue"], 0),
        (["31.01.2024", "01.02.2024"], 10),
        (["1.5", "red"], 0),
        (["0.1234", "-.5", "1.", "12.25"], 0),
        (["0,1234", "12,25"], 0),
        (["item 5", "item 7"], 4),
        (["sku-5", "sku-7"], 13),
        (["5 Jan 2024", "6 Jan 2024"], 4),
        (["5Jan2024"], 4),
        (["20240131 10:00"], 13),
        (["Mon, 29 Jan 2024 10:00:00 +0100"], 26),
        (["20240131", "202401311000"], 2),
    ],
)
def test_a_format_that_is_not_tried_reads_nothing(cells: list[str], n_tried: int) -> None:
    column = pl.Series("cell", cells)
    tried = _possible_formats(column)
    assert len(tried) == n_tried
    assert not [form for form in TIME_FORMATS if form not in tried and _format_reading(column, form) is not None]
