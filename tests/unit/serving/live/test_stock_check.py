from __future__ import annotations

from types import SimpleNamespace

import pytest

from serving.live.stock_check import PAUSE_S, StockCheck
from serving.served import Arm

SERVED = SimpleNamespace(arm=Arm.PRODUCTION, release_id="r1", generation_id="g1")


def test_requests_have_the_interpreter_between_one_part_of_the_counting_and_the_next(monkeypatch: pytest.MonkeyPatch):
    def lacks(_release_id: str, _generation_id: str, pause) -> None:
        for _ in range(3):
            pause()

    waits: list[float] = []
    check = StockCheck(SimpleNamespace(lacks=lacks), lambda: [SERVED], lambda: None, every_s=30)
    monkeypatch.setattr(check._stopping, "wait", waits.append)
    check.count()
    assert waits == 3 * [PAUSE_S]
    assert PAUSE_S > 0
