"""The bounds that would stop the stage `validate` are set by what `slate inspect` proposes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.settings.settings import load_settings
from sources.inspection.inspection import inspect_files

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
N_ROWS = 3000


@pytest.mark.parametrize(("n_nameless", "raises"), [(29, False), (31, True)])
def test_more_rows_in_quarantine_than_the_bound_raise_it_with_the_reason_beside_it(
    tmp_path: Path, n_nameless: int, raises: bool
) -> None:
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
    assert others == []
    assert found.builds
    raised = {name: (bound.value, bound.why) for name, bound in found.bounds.items()}
    why = "1.03% of the interactions break a rule, and go to quarantine"
    assert raised == ({"max_quarantine_share": (0.016, why)} if raises else {})
