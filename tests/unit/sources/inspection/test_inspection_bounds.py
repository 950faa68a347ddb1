"""What would stop the stage `validate` is told by `slate inspect` already."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.settings.settings import load_settings
from sources.inspection.inspection import STOPS, inspect_files

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
N_ROWS = 3000


@pytest.mark.parametrize(("n_nameless", "stops"), [(29, False), (31, True)])
def test_more_rows_in_quarantine_than_the_bound_are_told(tmp_path: Path, n_nameless: int, stops: bool) -> None:
    rules = load_settings(PARAMS).validate_
    assert rules.max_quarantine_share * N_ROWS == 30
    rows = [
        f"{'' if at < n_nameless else at % 97},i{at % 31},{('view', 'purchase')[at % 2]},{1_700_000_000 + at}"
        for at in range(N_ROWS)
    ]
    (tmp_path / "e.csv").write_text("\n".join(["user_id,item_id,event_type,timestamp", *rows, ""]))
    found = inspect_files([str(tmp_path / "e.csv")], rules, datetime(2024, 1, 1, tzinfo=UTC))
    nameless, *others = found.problems
    assert (nameless.row, nameless.count) == (2, n_nameless)
    assert [one.next_step for one in others] == ([STOPS] if stops else [])
    assert all("at most a share of 0.01 is in quarantine" in one.found for one in others)
    assert all(f"({n_nameless} of 3,000 rows)" in one.found for one in others)
