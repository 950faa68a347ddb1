"""Cells that hold several texts."""

from __future__ import annotations

import polars as pl
import pytest

from sources.files.list_cells import separated


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ('[{"name": "b"}, {"name": "a", "id": 7}]', ["a", "b"]),
        ("[{'id': 7, 'slug': 'a'}]", ["a"]),
        ('[{"label": "x"}, "y"]', ["x", "y"]),
        ('[{"id": 7}, {"id": 8}]', None),
        ("a|b", ["a", "b"]),
    ],
)
def test_tags_that_are_objects_are_read_by_what_they_are_called(cell: str, read: list[str] | None) -> None:
    assert separated(pl.Series([cell]), "|").to_list() == [read]
