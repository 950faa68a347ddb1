from __future__ import annotations

from pathlib import Path

import pytest

from cli.data.inspect import _preset_block
from sources.inspection.fitting_preset import FittingPreset

CHECKOUT = Path(__file__).parents[3]


def test_what_articles_have_because_of_their_own_world_is_not_proposed_for_an_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(CHECKOUT)
    told = _preset_block(FittingPreset("articles", "it has views and no orders"))["preset"]
    assert "recent_days" in told
    assert "diversity" not in told
