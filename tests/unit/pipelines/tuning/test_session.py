from __future__ import annotations

import pytest

from contracts.errors import WrongInput
from pipelines.tuning.session import TuneRequest, _judging_line


@pytest.mark.parametrize("minutes", ["inf", "nan"])
def test_minutes_that_are_no_number_are_refused_before_anything_is_fitted(minutes: str) -> None:
    with pytest.raises(WrongInput, match=f"found is {minutes}"):
        TuneRequest(float(minutes))


def test_the_start_says_how_long_judging_one_takes_with_the_other_seeds() -> None:
    assert "about 3.0 min" in _judging_line(TuneRequest(3.0, n_seeds=3), trial_s=90.0)  # (3 - 1) * 90 / 60
