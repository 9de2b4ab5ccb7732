"""What this process counts, and what it looks up when it is asked, for Prometheus. No id of anybody is in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Lock

from dramatiq.errors import ConnectionError as BrokerConnectionError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker import MongoBroker
from broker.stats import QueueStats, queue_stats

LOOK_EVERY_S = 5.0
"""Nobody needs a name to ask, so asking more often costs the database nothing."""

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_STATES = ("ready", "delayed", "in_flight", "dead", "paused")

_REGISTRY = CollectorRegistry()
ProcessCollector(registry=_REGISTRY)
_REQUESTS = Counter(
    "huaban_http_requests", "Calls that were answered.", ["method", "route", "status"], registry=_REGISTRY
)
_SECONDS = Histogram(
    "huaban_http_request_seconds",
    "Time until an answer began. A stream goes on for long after that.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_REGISTRY,
)
_REFUSALS = Counter("huaban_refusals", "Refusals, by the code in their body.", ["code"], registry=_REGISTRY)
_WATCHERS = Gauge("huaban_watchers", "Open streams of events.", registry=_REGISTRY)


def count_answer(method: str, route: str, status: int, seconds: float) -> None:
    """An answer has begun. `route` is a template, never a path: a path holds ids, and there is no end of them."""
    # A caller may make methods up.
    known = method if method in _METHODS else "other"
    _REQUESTS.labels(known, route, status).inc()
    _SECONDS.labels(known, route).observe(seconds)


def count_refusal(symbol: str) -> None:
    _REFUSALS.labels(symbol).inc()


def exposition(queues: QueueFigures, *, watchers: int) -> str:
    """Everything in Prometheus' text format."""
    _WATCHERS.set(watchers)
    looked_up = CollectorRegistry()
    looked_up.register(queues)
    return (generate_latest(_REGISTRY) + generate_latest(looked_up)).decode()


class QueueFigures(Collector):
    """The queues of one broker, looked at when somebody asks. Without an answer of the database there are none."""

    def __init__(self, broker: MongoBroker) -> None:
        self._broker = broker
        self._lock = Lock()
        self._looked_at = -LOOK_EVERY_S
        self._stats: list[QueueStats] | None = None

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        stats = self._newest()
        yield GaugeMetricFamily("huaban_database_up", "Whether the database answers.", value=stats is not None)
        depth = GaugeMetricFamily("huaban_queue_messages", "Messages by state.", labels=["queue", "state"])
        age = GaugeMetricFamily(
            "huaban_queue_oldest_ready_seconds", "How long the first in line has waited.", labels=["queue"]
        )
        for queue in stats or []:
            for state in _STATES:
                depth.add_metric([queue.queue_name, state], getattr(queue, state))
            age.add_metric([queue.queue_name], queue.oldest_ready_age_s)
        yield from (depth, age)

    def _newest(self) -> list[QueueStats] | None:
        with self._lock:
            if time.monotonic() >= self._looked_at + LOOK_EVERY_S:
                try:
                    self._stats = queue_stats(self._broker)
                except BrokerConnectionError:
                    self._stats = None
                self._looked_at = time.monotonic()
            return self._stats
