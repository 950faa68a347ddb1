"""The metrics of an answer: its arm, its tier, what it did without, its stages."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from contracts.slates import Slate, Tier
from feature_store.online.pointer import Pointer
from serving.metrics import Metrics
from serving.served import Arm, Lineup


def test_an_answer_is_counted_by_tier_and_by_what_it_lacked_and_its_stages_are_timed() -> None:
    metrics = Metrics()
    metrics.slate_answered(
        Slate("q1", "r1", "g1", Tier.SESSION, "p1", ("features", "pointer"), (), {"rank": 2.5, "total": 4.0}),
        Arm.CANARY,
    )
    value = metrics.registry.get_sample_value
    assert value("slate_slates_total", {"tier": "session", "arm": "canary"}) == 1
    assert value("slate_degraded_total", {"what": "features", "arm": "canary"}) == 1
    assert value("slate_degraded_total", {"what": "pointer", "arm": "canary"}) == 1
    assert value("slate_stage_seconds_sum", {"stage": "rank", "arm": "canary"}) == 0.0025
    assert b'slate_slates_total{arm="canary",tier="session"} 1.0' in metrics.text()


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.ready.set(1)
    assert second.registry.get_sample_value("slate_ready") == 0


def lineup(recall: float, **among: float) -> Lineup:
    """Production by a release whose index has such recalls."""
    release = SimpleNamespace(index=SimpleNamespace(recall=recall, recall_among=among))
    served: Any = SimpleNamespace(arm=Arm.PRODUCTION, release=release, release_id="r", generation_id="g")
    return Lineup(Pointer("r", "g", 1), served)


def test_the_recall_of_the_index_is_told_under_each_filter_and_forgotten_with_the_release() -> None:
    metrics = Metrics()

    def told(name: str) -> float | None:
        return metrics.registry.get_sample_value("slate_index_recall", {"arm": "production", "filter": name})

    metrics.lined_up(lineup(0.97, drama=0.91), [])
    assert (told(""), told("drama")) == (0.97, 0.91)
    metrics.lined_up(lineup(1.0, comedy=0.95), [])
    assert (told(""), told("comedy")) == (1.0, 0.95)
    assert math.isnan(told("drama") or 0.0)
