"""What the server counts and times, for Prometheus. One registry per server, so that two in a process never mix.

The workers of one server answer on one socket, so that whoever scrapes meets any of them: they keep their numbers in
files of one folder (see `serving.http.workers.worker_metrics`), and each tells the sum of all. A gauge tells of those
that live.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector

from contracts.slates import Slate
from serving.served import Arm, Lineup

WORKERS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by the library when it is imported
WORKER_NUMBER = "SLATE_WORKER"  # which of the workers this process is
if os.environ.get(WORKERS_FOLDER):
    # Files by the worker's number, not by its process: one that is started again goes on in those of the one before.
    _NUMBER = os.environ[WORKER_NUMBER]  # asked for at every change of every number
    values.ValueClass = values.MultiProcessValue(lambda: _NUMBER)  # type: ignore[no-untyped-call]

# Closest around 10 ms, the limit that p99 is held against.
SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

Metric = TypeVar("Metric", bound=MetricWrapperBase)


class _ByLabels(dict[tuple[str, ...], Metric]):
    """The metric of each set of labels, looked up in the library once: that costs as much as counting."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Metric:
        self[labels] = labelled = self._metric.labels(*labels)
        return labelled


class Metrics:
    """Every metric of one server; the help texts say what each one is."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.request_seconds = Histogram(
            "slate_request_seconds", "Time to an answer.", ["route", "status"], buckets=SECONDS, registry=own
        )
        self.stage_seconds = Histogram(
            "slate_stage_seconds",
            "Time in a stage of the request path.",
            ["stage", "arm"],
            buckets=SECONDS,
            registry=own,
        )
        self.collector_seconds = Histogram(
            "slate_collector_seconds",
            "Pauses of Python's garbage collector, by the generation collected.",
            ["generation"],
            buckets=SECONDS,
            registry=own,
        )
        self.loop_lag_seconds = Histogram(
            "slate_loop_lag_seconds",
            "How late the event loop came to what waited for it, as a timer sees it.",
            buckets=SECONDS,
            registry=own,
        )
        self.answered_together = Histogram(
            "slate_answered_together",
            "Requests that one thread answered at once.",
            buckets=(1, 2, 4, 8, 16),
            registry=own,
        )
        self.slates = Counter("slate_slates", "Slates answered, by tier.", ["tier", "arm"], registry=own)
        self.degraded = Counter(
            "slate_degraded", "Answers that had to do without something.", ["what", "arm"], registry=own
        )
        self.events = Counter("slate_events", "Events taken, by type.", ["event_type"], registry=own)
        self.unknown_items = Counter(
            "slate_events_of_unknown_items", "Events of items that no release served knows.", registry=own
        )
        self.log_records = Counter(
            "slate_log_records",
            "Records of the event log: written, spooled, dropped, refused with a 503, or found damaged.",
            ["outcome"],
            registry=own,
        )
        self.unanswered = Counter(
            "slate_unanswered",
            "Requests for a slate that got none: they would have been too late, or the client had gone.",
            ["why"],
            registry=own,
        )
        self.request_records = Counter(
            "slate_request_log_records", "Records of the request log: written or dropped.", ["outcome"], registry=own
        )
        self.value_records = Counter(
            "slate_values_log_records", "Records of the values log: written or dropped.", ["outcome"], registry=own
        )
        self.ready = Gauge("slate_ready", "1 once a release is served.", registry=own, multiprocess_mode="livemin")
        self.store_reachable = Gauge(
            "slate_online_store_reachable", "1 while Redis answers.", registry=own, multiprocess_mode="livemin"
        )
        self.switches = Counter("slate_switches", "Releases taken up or refused.", ["outcome"], registry=own)
        self.release = Gauge(
            "slate_release_info",
            "How many workers answer an arm with this release.",
            ["arm", "release_id", "generation_id"],
            registry=own,
            multiprocess_mode="livesum",
        )
        self.epoch = Gauge(
            "slate_pointer_epoch", "The epoch of the pointer served.", registry=own, multiprocess_mode="livemin"
        )
        self.canary_share = Gauge(
            "slate_canary_share", "The share of people who get the canary.", registry=own, multiprocess_mode="livemax"
        )
        self.problem = Gauge(
            "slate_problem",
            "1 while an arm cannot follow what the store names.",
            ["arm"],
            registry=own,
            multiprocess_mode="livemax",
        )
        self.index_recall = Gauge(
            "slate_index_recall",
            "Recall of an arm's vector index against exact search, as its build measured it; also under each filter.",
            ["arm", "filter"],
            registry=own,
            multiprocess_mode="livemin",
        )
        self._named: set[tuple[str, str, str]] = set()
        self._recalled: set[tuple[str, str]] = set()
        self._slates, self._degraded = _ByLabels(self.slates), _ByLabels(self.degraded)
        self._stage_seconds, self._request_seconds = _ByLabels(self.stage_seconds), _ByLabels(self.request_seconds)

    def request_answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request by its route and status, and the time to the first byte of its answer."""
        self._request_seconds[route, str(status)].observe(seconds)

    def slate_answered(self, slate: Slate, arm: Arm) -> None:
        """Count one answer: its tier, what it did without, and its stages' times."""
        self._slates[slate.tier, arm].inc()
        for what in slate.degraded:
            self._degraded[what, arm].inc()
        for stage, milliseconds in slate.timings_ms.items():
            self._stage_seconds[stage, arm].observe(milliseconds / 1000)

    def lined_up(self, lineup: Lineup | None, problems: Collection[Arm]) -> None:
        """From now on these answer, and these arms are kept from following the store."""
        for arm in Arm:
            self.problem.labels(arm).set(arm in problems)
        if lineup is None:
            return
        self.ready.set(1)
        self.epoch.set(lineup.pointer.epoch)
        self.canary_share.set(0 if lineup.share is None else lineup.share.share)
        named = {(str(served.arm), served.release_id, served.generation_id) for served in lineup}
        for names in named:
            self.release.labels(*names).set(1)
        for names in self._named - named:
            self.release.labels(*names).set(0)  # not removed: among workers, what is removed would go on counting
        self._named = named
        self._tell_recall(lineup)

    def _tell_recall(self, lineup: Lineup) -> None:
        recalls = {
            (str(served.arm), name): recall
            for served in lineup
            for name, recall in {"": served.release.index.recall, **served.release.index.recall_among}.items()
        }
        for names in self._recalled - recalls.keys():
            self.index_recall.labels(*names).set(math.nan)  # not removed, as above
        for names, recall in recalls.items():
            self.index_recall.labels(*names).set(recall)
        self._recalled = set(recalls)

    def text(self) -> bytes:
        """All of it in Prometheus' text format, of all workers where there are several."""
        if not os.environ.get(WORKERS_FOLDER):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
