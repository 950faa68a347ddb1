"""The metrics of an answer: its arm, its tier, what it did without, its stages."""

from __future__ import annotations

from contracts.slates import Slate, Tier
from serving.metrics import Metrics
from serving.served import Arm


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
