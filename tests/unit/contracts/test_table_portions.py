from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow.parquet as pq
import pytest

from contracts.errors import ArtefactError
from contracts.tables import read_parquet, scan_parquet, write_portions

FIRST = pl.DataFrame({"id": ["a", "b"], "value": [1.5, None]})
SECOND = pl.DataFrame({"id": ["c"], "value": [2.5]})
NOTHING = FIRST.head(0)


def test_portions_are_one_table_with_a_row_group_each(tmp_path):
    assert write_portions([FIRST, SECOND], tmp_path / "table.parquet") == 3
    assert read_parquet(tmp_path / "table.parquet").equals(pl.concat([FIRST, SECOND]))
    assert pq.read_metadata(tmp_path / "table.parquet").num_row_groups == 2


def test_portions_without_rows_are_a_table_without_rows(tmp_path):
    assert write_portions([NOTHING, NOTHING], tmp_path / "table.parquet") == 0
    assert read_parquet(tmp_path / "table.parquet").equals(NOTHING)


def test_equal_portions_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_portions([FIRST, SECOND], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_portion_at_all_is_no_table(tmp_path):
    with pytest.raises(ArtefactError, match=r"table.parquet would have no portion"):
        write_portions([], tmp_path / "table.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_portion_that_fails_leaves_the_table_of_before(tmp_path):
    def failing() -> Iterator[pl.DataFrame]:
        yield FIRST
        raise ValueError

    write_portions([SECOND], tmp_path / "table.parquet")
    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        write_portions(failing(), tmp_path / "table.parquet")
    assert read_parquet(tmp_path / "table.parquet").equals(SECOND)


def test_a_table_that_is_read_in_part_is_missed_and_found_damaged_as_any_other(tmp_path):
    with pytest.raises(ArtefactError, match=r"nothing.parquet is missing"):
        scan_parquet(tmp_path / "nothing.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ArtefactError, match=r"damaged.parquet is no readable Parquet file"):
        scan_parquet(tmp_path / "damaged.parquet")
