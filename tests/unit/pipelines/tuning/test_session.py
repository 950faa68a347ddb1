from __future__ import annotations

import pytest

from contracts.errors import WrongInput
from pipelines.tuning.session import TuneRequest


@pytest.mark.parametrize("minutes", ["inf", "nan"])
def test_minutes_that_are_no_number_are_refused_before_anything_is_fitted(minutes: str) -> None:
    with pytest.raises(WrongInput, match=f"found is {minutes}"):
        TuneRequest(float(minutes))
