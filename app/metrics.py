"""What this process counts, and what it looks up when it is asked, for Prometheus. No id of anybody is in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from threading import Lock

from dramatiq.errors import ConnectionError as BrokerConnectionError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError

from broker import MongoBroker
from broker.stats import QueueStats, queue_stats
from studio.gates import Gate
from studio.ledger import Spending
from studio.statistics import DayOfJobs
from studio.step_times import StepTime
from studio.studio import Studio

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


def exposition(stored: StoredFigures, *, watchers: int) -> str:
    """Everything in Prometheus' text format."""
    _WATCHERS.set(watchers)
    looked_up = CollectorRegistry()
    looked_up.register(stored)
    return (generate_latest(_REGISTRY) + generate_latest(looked_up)).decode()


@dataclass(frozen=True)
class _Look:
    """What the database said at one moment."""

    queues: list[QueueStats]
    days: list[DayOfJobs]
    steps: list[StepTime]
    gates: list[Gate]
    places: dict[str, int]
    slots: dict[str, tuple[int, int]]
    spending: list[Spending]


class StoredFigures(Collector):
    """The queues, the jobs, their steps and what they cost, looked up when somebody asks. Without the database there
    are none."""

    def __init__(self, studio: Studio, broker: MongoBroker) -> None:
        self._studio = studio
        self._broker = broker
        self._lock = Lock()
        self._looked_at = -LOOK_EVERY_S
        self._newest: _Look | None = None

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        look = self._look()
        yield GaugeMetricFamily("huaban_database_up", "Whether the database answers.", value=look is not None)
        if look:
            yield from _of_queues(look.queues)
            yield from _of_jobs(look.days)
            yield _of_steps(look.steps)
            yield from _of_providers(look)
            yield _of_spending(look.spending)

    def _look(self) -> _Look | None:
        with self._lock:
            if time.monotonic() >= self._looked_at + LOOK_EVERY_S:
                try:
                    self._newest = _Look(
                        queue_stats(self._broker),
                        self._studio.statistics.list_newest(days=1).now(),
                        self._studio.step_times.list_all().now(),
                        self._studio.gates.list_all(),
                        self._studio.gates.count_places(),
                        self._studio.gates.slots.count(),
                        self._studio.ledger.list_spending(days=1),
                    )
                except (BrokerConnectionError, PyMongoError):
                    self._newest = None
                self._looked_at = time.monotonic()
            return self._newest


def _of_queues(queues: list[QueueStats]) -> Iterator[Metric]:
    depth = GaugeMetricFamily("huaban_queue_messages", "Messages by state.", labels=["queue", "state"])
    age = GaugeMetricFamily(
        "huaban_queue_oldest_ready_seconds", "How long the first in line has waited.", labels=["queue"]
    )
    for queue in queues:
        for state in _STATES:
            depth.add_metric([queue.queue_name, state], getattr(queue, state))
        age.add_metric([queue.queue_name], queue.oldest_ready_age_s)
    yield from (depth, age)


def _of_jobs(days: list[DayOfJobs]) -> Iterator[Metric]:
    """Of the newest day that was counted."""
    newest = max((day.day for day in days), default=None)
    ended = GaugeMetricFamily("huaban_jobs_of_day", "Jobs that ended on the newest day.", labels=["kind", "outcome"])
    seconds = GaugeMetricFamily(
        "huaban_job_seconds_of_day", "How long those took that succeeded.", labels=["kind", "quantile"]
    )
    for day in (day for day in days if day.day == newest):
        for outcome, count in day.outcomes.items():
            ended.add_metric([day.kind, outcome], count)
        for quantile, value in (("0.5", day.p50_s), ("0.95", day.p95_s)):
            if value is not None:
                seconds.add_metric([day.kind, quantile], value)
    yield from (ended, seconds)


def _of_steps(steps: list[StepTime]) -> Metric:
    family = GaugeMetricFamily(
        "huaban_step_seconds", "The median of a step's newest times.", labels=["kind", "step", "provider"]
    )
    for step in steps:
        family.add_metric([step.kind, step.step, step.provider], median(step.seconds))
    return family


def _of_providers(look: _Look) -> Iterator[Metric]:
    """Whether providers are there, and who waits for them."""
    is_open = GaugeMetricFamily(
        "huaban_provider_circuit_open",
        "Whether a provider counts as away.",
        labels=["gate"],
    )
    waiting = GaugeMetricFamily("huaban_provider_line", "Who waits to ask a provider.", labels=["gate"])
    for gate in look.gates:
        is_open.add_metric([gate.id], gate.is_open)
        waiting.add_metric([gate.id], look.places.get(gate.id, 0))
    slots = GaugeMetricFamily(
        "huaban_provider_slots", "Jobs that hold a slot at a provider, or wait for one.", labels=["account", "state"]
    )
    for account, (held, queued) in look.slots.items():
        slots.add_metric([account, "held"], held)
        slots.add_metric([account, "waiting"], queued)
    yield from (is_open, waiting, slots)


def _of_spending(spending: list[Spending]) -> Metric:
    """Of the day in UTC. No counter: what was reserved or in doubt may be given back."""
    family = GaugeMetricFamily(
        "huaban_spend_micros_of_day",
        "What this day's calls cost, in millionths of the currency.",
        labels=["provider", "capability", "currency", "state"],
    )
    for row in spending:
        amounts = {"open": row.open_micros, "settled": row.settled_micros, "uncertain": row.uncertain_micros}
        for state, micros in amounts.items():
            family.add_metric([row.provider, row.capability, row.currency, state], micros)
    return family
