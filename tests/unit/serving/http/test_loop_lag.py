"""How late a loop is, from the times at which it looks at the clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from serving.http.loop_lag import BEAT_S, MEAN_OVER_S, LoopLag


def looked_at(moments: Sequence[float]) -> list[tuple[float, float]]:
    """What is noted by one that starts at the first moment and looks at the others."""
    noted: list[tuple[float, float]] = []
    clock = iter(moments)

    async def within_a_loop() -> None:
        lag = LoopLag(lambda mean_ms, latest_ms: noted.append((mean_ms, latest_ms)), lambda: next(clock))
        lag.start()
        for _ in moments[1:]:
            lag.stop()  # the look it would take by itself
            lag.look()
        lag.stop()

    asyncio.run(within_a_loop())
    return noted


def test_a_loop_that_comes_in_time_has_no_lag() -> None:
    for mean_ms, latest_ms in looked_at([5.0, 5.0 + BEAT_S, 5.0 + 2 * BEAT_S]):
        assert (mean_ms, latest_ms) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_one_pause_counts_for_its_share_of_the_last_fifth_of_a_second() -> None:
    [(mean_ms, latest_ms)] = looked_at([0.0, BEAT_S + 0.05])
    assert latest_ms == pytest.approx(50.0)
    assert mean_ms == pytest.approx(50.0 * (1 - math.exp(-0.07 / 0.2)))  # 14.8 ms
    assert MEAN_OVER_S == 0.2


def test_a_loop_that_is_always_late_is_found_to_be_and_forgiven_once_it_is_not() -> None:
    late = [number * (BEAT_S + 0.1) for number in range(11)]
    in_time = [late[-1] + number * BEAT_S for number in range(1, 51)]
    means = [mean_ms for mean_ms, _ in looked_at([*late, *in_time])]
    assert means[9] == pytest.approx(100.0, rel=0.01)
    assert means[9 + 10] == pytest.approx(means[9] / math.e, rel=0.01)  # 200 ms later
    assert means[-1] < 1.0


def test_it_looks_by_itself_until_it_is_stopped() -> None:
    noted: list[float] = []

    async def within_a_loop() -> None:
        enough = asyncio.Event()

        def note(_mean_ms: float, latest_ms: float) -> None:
            noted.append(latest_ms)
            if len(noted) == 3:
                enough.set()

        lag = LoopLag(note)
        lag.start()
        await enough.wait()
        lag.stop()
        assert not [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]

    asyncio.run(within_a_loop())
    assert len(noted) == 3
