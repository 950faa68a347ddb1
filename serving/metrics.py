"""What the server counts and times, for Prometheus. One registry per server, so that two in a process never mix."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.slates import Slate
from feature_store.pointer import Pointer

# Closest around 10 ms, the limit that p99 is held against.
SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """Every metric of one server; the help texts say what each one is."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.request_seconds = Histogram(
            "slate_request_seconds", "Time to an answer.", ["route", "status"], buckets=SECONDS, registry=own
        )
        self.stage_seconds = Histogram(
            "slate_stage_seconds", "Time in one stage of the request path.", ["stage"], buckets=SECONDS, registry=own
        )
        self.slates = Counter("slate_slates", "Slates answered, by tier.", ["tier"], registry=own)
        self.degraded = Counter("slate_degraded", "Answers that had to do without something.", ["what"], registry=own)
        self.events = Counter("slate_events", "Events taken, by type.", ["event_type"], registry=own)
        self.log_records = Counter(
            "slate_log_records", "Records of the event log: written, spooled or dropped.", ["outcome"], registry=own
        )
        self.ready = Gauge("slate_ready", "1 once a release is served.", registry=own)
        self.store_reachable = Gauge("slate_online_store_reachable", "1 while Redis answers.", registry=own)
        self.switches = Counter("slate_switches", "Releases taken up or refused.", ["outcome"], registry=own)
        self.release = Gauge(
            "slate_release_info", "The release being served.", ["release_id", "generation_id"], registry=own
        )
        self.epoch = Gauge("slate_pointer_epoch", "The epoch of the pointer being served.", registry=own)

    def slate_answered(self, slate: Slate) -> None:
        """Count one answer: its tier, what it did without, and its stages' times."""
        self.slates.labels(slate.tier).inc()
        for what in slate.degraded:
            self.degraded.labels(what).inc()
        for stage, milliseconds in slate.timings_ms.items():
            self.stage_seconds.labels(stage).observe(milliseconds / 1000)

    def switched(self, pointer: Pointer) -> None:
        """A release was taken up: from now on it is the one that the metrics name."""
        self.switches.labels("taken_up").inc()
        self.ready.set(1)
        self.release.clear()
        self.release.labels(pointer.release_id, pointer.generation_id).set(1)
        self.epoch.set(pointer.epoch)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
