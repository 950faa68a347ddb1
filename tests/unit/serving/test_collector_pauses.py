"""Pauses of the garbage collector are noted, each once, between start and stop."""

from __future__ import annotations

import gc

from serving.collector_pauses import CollectorPauses


def test_each_pause_is_told_once_with_what_was_collected() -> None:
    pauses = CollectorPauses()
    gc.collect(2)
    pauses.start()
    try:
        gc.collect(2)
        gc.collect(0)
    finally:
        pauses.stop()
    gc.collect(2)
    told = pauses.take()
    assert [generation for generation, _ in told if generation == 2] == [2]
    assert told[0][0] == 2
    assert all(0 <= seconds < 60 for _, seconds in told)
    assert pauses.take() == []
