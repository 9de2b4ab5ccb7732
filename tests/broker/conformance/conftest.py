"""The same tests over two brokers: Dramatiq's own stub, which says what is meant, and ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker, Middleware, Worker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import (
    AgeLimit,
    AsyncIO,
    Callbacks,
    CurrentMessage,
    GroupCallbacks,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)
from dramatiq.rate_limits import RateLimiterBackend
from dramatiq.results import ResultBackend, Results

from broker import MongoBroker, MongoRateLimiterBackend, MongoResultBackend
from tests.broker.conformance.hooks import Recorder

with warnings.catch_warnings():
    # Their packages miss Memcached's driver, and say so.
    warnings.simplefilter("ignore", ImportWarning)
    from dramatiq.rate_limits.backends.stub import StubBackend as StubLimits
    from dramatiq.results.backends.stub import StubBackend as StubResults

LIMIT_MS = 30_000
"""How long a join may take before a test has failed."""

Finish = Callable[[], None]
Start = Callable[..., Worker]


@pytest.fixture(params=["stub", "mongo"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def broker(kind: str, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The global broker, with Dramatiq's default middleware, CurrentMessage and AsyncIO."""
    middleware: list[Middleware] = [
        AgeLimit(),
        TimeLimit(interval=20),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        Retries(min_backoff=1, max_backoff=1),
        CurrentMessage(),
        AsyncIO(),
    ]
    made: Broker
    made = StubBroker(middleware) if kind == "stub" else request.getfixturevalue("make_broker")(middleware=middleware)
    dramatiq.set_broker(made)
    yield made
    made.close()
    dramatiq.broker.global_broker = None


@pytest.fixture
def mongo_broker(request: pytest.FixtureRequest) -> MongoBroker:
    """`broker` of a test that only makes sense with MongoDB: mark it with `@only_mongo`."""
    made: MongoBroker = request.getfixturevalue("broker")
    return made


@pytest.fixture
def result_backend(broker: Broker) -> ResultBackend:
    """Where the broker's actors store results, if their option `store_results` says so."""
    backend: ResultBackend
    backend = StubResults() if not isinstance(broker, MongoBroker) else MongoResultBackend(database=broker.database)
    broker.add_middleware(Results(backend=backend))
    return backend


@pytest.fixture
def limits(broker: Broker) -> RateLimiterBackend:
    """What the broker's group callbacks count with."""
    backend: RateLimiterBackend
    backend = StubLimits() if not isinstance(broker, MongoBroker) else MongoRateLimiterBackend(database=broker.database)
    broker.add_middleware(GroupCallbacks(backend))
    return backend


@pytest.fixture
def start(broker: Broker) -> Iterator[Start]:
    """Starts a worker of four threads, unless told otherwise."""
    with ExitStack() as stack:

        def started(*, threads: int = 4, prefetch: int | None = None, queues: set[str] | None = None) -> Worker:
            worker = Worker(broker, worker_threads=threads, worker_timeout=20, queues=queues)
            if prefetch is not None:
                worker.queue_prefetch = prefetch
            worker.start()
            stack.callback(_stop, worker)
            return worker

        yield started


@pytest.fixture
def worker(start: Start) -> Worker:
    return start()


@pytest.fixture
def finish(broker: Broker, worker: Worker) -> Finish:
    """Waits until nothing is left to run, on whichever queue, the way Dramatiq's documentation shows it."""

    def finished() -> None:
        # Twice, since a message of the last queue may have sent one to the first.
        for queue_name in 2 * sorted(broker.get_declared_queues() - broker.get_declared_delay_queues()):
            broker.join(queue_name, timeout=LIMIT_MS)
        worker.join()

    return finished


@pytest.fixture
def runs() -> list[Any]:
    """What actors write down."""
    return []


@pytest.fixture
def recorder(broker: Broker) -> Recorder:
    """Writes down every hook. It is the last middleware."""
    made = Recorder()
    broker.add_middleware(made)
    return made


def _stop(worker: Worker) -> None:
    if any(thread.is_alive() for thread in worker.workers):
        worker.resume()
        worker.stop(timeout=5_000)
