"""docs/faults.md: every fault names the test that makes it, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COLUMNS = ["fault", "answered meanwhile", "heals", "told", "test"]


def rows() -> list[list[str]]:
    lines = (CHECKOUT / "docs" / "faults.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def test_every_fault_names_a_test_that_is_there() -> None:
    faults = [row for row in rows() if row != COLUMNS and not set(row[0]) <= {"-"}]
    assert len(faults) >= 24
    defined = {
        name
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    for row in faults:
        assert len(row) == len(COLUMNS), row
        assert row[-1].strip("`") in defined, row
