from __future__ import annotations

import time
from pathlib import Path

import pytest

from contracts.errors import EngineMissing, WrongInput
from contracts.home import Home
from contracts.settings.candidates import TwoTowerSettings
from pipelines.rolling.kept_fits import KeptFits
from pipelines.tuning.session import TuneRequest, TuneSession, _judging_line
from recommender.generators.deep.environments import GuestEnvironment
from tests.release_worlds import small_settings
from tests.worlds import small_world


@pytest.mark.parametrize("minutes", ["inf", "nan"])
def test_minutes_that_are_no_number_are_refused_before_anything_is_fitted(minutes: str) -> None:
    with pytest.raises(WrongInput, match=f"found is {minutes}"):
        TuneRequest(float(minutes))


def test_the_start_says_how_long_judging_one_takes_with_the_other_seeds() -> None:
    assert "about 3.0 min" in _judging_line(TuneRequest(3.0, n_seeds=3), trial_s=90.0)  # (3 - 1) * 90 / 60


def test_a_guest_that_is_not_there_is_told_before_anything_is_fitted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(GuestEnvironment, "is_made", False)
    plain = small_settings()
    settings = plain.model_copy(
        update={"candidates": plain.candidates.model_copy(update={"two_tower": TwoTowerSettings()})}
    )
    world, kept = small_world(n_events=1), KeptFits.nothing()
    session = TuneSession(settings, b"", world, kept, Home(tmp_path), time.monotonic, print, print)
    with pytest.raises(EngineMissing, match=r"candidates\.two_tower is trained in .*`torch`"):
        session.run(TuneRequest(1.0))
