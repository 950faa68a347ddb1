"""The range of values that `slate inspect` proposes: ratings as they are, room above what is paid."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.settings.settings import load_settings
from sources.inspection.inspection import inspect_files

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
HALVES = [step / 2 for step in range(21)]
TENTHS = [step / 10 for step in range(1, 23)]


@pytest.mark.parametrize(
    ("event", "values", "proposed"),
    [
        ("rating", [1, 2, 3, 4, 5], (1, 5)),
        ("rating", HALVES, (0, 10)),
        ("rating", [1, 2, 3, 50], (0, 500)),  # more than anybody rates
        ("rating", TENTHS, (0, 20)),  # more ways than anybody rates in
        ("purchase", [1, 2, 3, 4, 5], (0, 50)),
        ("purchase", [0.99, 129.0], (0, 1000)),
    ],
)
def test_ratings_stay_in_their_range_and_tomorrows_price_may_be_ten_times_as_high(
    tmp_path: Path, event: str, values: list[float], proposed: tuple[float, float]
) -> None:
    rows = [f"u{at % 7},i{at % 5},{event},{1_700_000_000 + at},{values[at % len(values)]}" for at in range(200)]
    (tmp_path / "e.csv").write_text("\n".join(["user_id,item_id,event_type,timestamp,value", *rows, ""]))
    found = inspect_files([str(tmp_path / "e.csv")], load_settings(PARAMS).validate_, datetime(2024, 1, 1, tzinfo=UTC))
    assert found.proposal is not None
    assert found.proposal.files["interactions"]["columns"]["value"] == "value"
    assert found.values == proposed
