"""What the tests of sources share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder to write tables into."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
