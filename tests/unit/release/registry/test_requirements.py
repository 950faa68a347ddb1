"""What the model in MLflow says that it needs."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from release.registry import registration


def test_the_library_that_scores_is_named_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = f"pylignum=={version('pylignum')}"
    assert pinned in registration._pinned_requirements()
    monkeypatch.setattr(registration, "find_spec", lambda _: None)
    assert pinned not in registration._pinned_requirements()
    assert f"lightgbm=={version('lightgbm')}" in registration._pinned_requirements()
