"""A mongod that is no replica set: no transactions, no change stream, and the queue works all the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import dramatiq
import pytest
from dramatiq import pipeline
from dramatiq.middleware import GroupCallbacks, Middleware, Pipelines, Retries
from dramatiq.results import Results
from pymongo import MongoClient
from pymongo.database import Database

from broker import (
    MongoBroker,
    MongoRateLimiterBackend,
    MongoResultBackend,
    NoTransactions,
    complete_current,
    group,
    list_dead,
    run_in_transaction,
    transaction,
)
from tests.broker.conftest import StartWorker
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


@pytest.fixture
def lone_database(standalone: str) -> Iterator[Database[Any]]:
    with MongoClient[Any](standalone, uuidRepresentation="standard") as client:
        database = client[f"lone_{secrets.token_hex(4)}"]
        yield database
        client.drop_database(database)


@pytest.fixture
def make_lone(standalone: str, lone_database: Database[Any]) -> Iterator[Callable[..., MongoBroker]]:
    """Makes a broker on a client of its own."""
    with ExitStack() as stack:

        def make(*more: Middleware) -> MongoBroker:
            client = stack.enter_context(MongoClient[Any](standalone))
            middleware = [Pipelines(), Retries(min_backoff=1, max_backoff=1), *more]
            made = MongoBroker(database=client[lone_database.name], middleware=middleware)
            stack.callback(made.close)
            made.declare_queue("default")
            return made

        yield make


@pytest.fixture
def lone(make_lone: Callable[..., MongoBroker]) -> MongoBroker:
    return make_lone()


@pytest.fixture
def queue(lone_database: Database[Any]) -> Queue:
    return Queue(lone_database["default"])


def test_messages_run_are_delayed_repeated_and_die(lone: MongoBroker, start_worker: StartWorker, queue: Queue) -> None:
    ran: list[str] = []

    def work(name: str) -> None:
        ran.append(name)
        if name == "bad" or (ran.count("shaky") == 1 and name == "shaky"):
            raise ValueError(name)

    actor = dramatiq.actor(work, broker=lone, max_retries=1)
    start_worker(lone)
    actor.send("good")
    actor.send("shaky")
    actor.send("bad")
    actor.send_with_options(args=("soon",), delay=50)
    later = actor.send_with_options(args=("later",), delay=AN_HOUR_MS)
    lone.enqueue_many(actor.message("many") for _ in range(5))
    eventually(lambda: queue.states() == {"DONE": 8, "REJECTED": 1, "DELAYED": 1})
    assert sorted(ran) == ["bad", "bad", "good", *["many"] * 5, "shaky", "shaky", "soon"]
    assert [letter.reason for letter in list_dead(lone)] == ["ValueError: bad"]
    queue.make_due(later)
    eventually(lambda: queue.state(later) == "DONE")


@pytest.mark.parametrize("delay", [None, AN_HOUR_MS])
def test_unique_message_lives_once(lone: MongoBroker, queue: Queue, delay: int | None) -> None:
    first = lone.enqueue(message(unique_key="one"), delay=delay)
    assert lone.enqueue(message(unique_key="one"), delay=delay).message_id == first.message_id
    assert lone.cancel(first.message_id)
    assert lone.enqueue(message(unique_key="one"), delay=delay).message_id != first.message_id
    assert queue.collection.count_documents({}) == 2


def test_many_sent_twice_are_stored_once(lone: MongoBroker, queue: Queue) -> None:
    messages = [message("note", number) for number in range(30)]
    lone.enqueue_many(messages[:20])
    lone.enqueue_many(messages)
    assert queue.states() == {"QUEUED": 30}


def test_pipelines_groups_and_results_work(make_lone: Callable[..., MongoBroker], start_worker: StartWorker) -> None:
    lone = make_lone()
    lone.add_middleware(Results(backend=MongoResultBackend(database=lone.database), store_results=True))
    lone.add_middleware(GroupCallbacks(MongoRateLimiterBackend(database=lone.database)))
    complete: list[str] = []

    def double(number: int) -> int:
        return 2 * number

    doubled: Any = dramatiq.actor(double, broker=lone)
    finish = dramatiq.actor(lambda: complete.append("complete"), broker=lone, actor_name="finish")
    start_worker(lone)
    steps = pipeline([doubled.message(1), doubled.message(), doubled.message()], broker=lone).run()
    assert list(steps.get_results(block=True, timeout=30_000)) == [2, 4, 8]
    several: Any = group([doubled.message(number) for number in range(5)], broker=lone)  # type: ignore[no-untyped-call]
    several.add_completion_callback(finish.message())
    several.run()
    assert list(several.get_results(block=True, timeout=30_000)) == [0, 2, 4, 6, 8]
    eventually(lambda: complete == ["complete"])


def test_actor_may_complete_its_message_without_a_transaction(
    lone: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    actor = dramatiq.actor(complete_current, broker=lone)
    start_worker(lone)
    actor.send()
    eventually(lambda: queue.states() == {"DONE": 1})


@pytest.mark.usefixtures("guardians")
def test_worker_has_a_guardian_that_renews_and_ends_its_lease(
    lone: MongoBroker, start_worker: StartWorker, queue: Queue, lone_database: Database[Any]
) -> None:
    actor = dramatiq.actor(lambda: None, broker=lone, actor_name="note")
    worker = start_worker(lone)
    actor.send()
    eventually(lambda: queue.states() == {"DONE": 1})
    # Only a guardian writes down what runs.
    eventually(lambda: lone_database.dramatiq_workers.find_one({"_id": lone.lease.worker_id, "running": []}))
    worker.stop()
    assert lone_database.dramatiq_workers.count_documents({}) == 0


def test_idle_worker_finds_what_others_send_by_polling_and_says_once_that_it_polls(
    lone: MongoBroker,
    make_lone: Callable[..., MongoBroker],
    start_worker: StartWorker,
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("default", "second", "third"):
        dramatiq.actor(lambda: None, broker=lone, actor_name=f"note_{name}", queue_name=name)
    elsewhere = make_lone()
    elsewhere.declare_queue("third")
    start_worker(lone)
    for delay in (None, 50):
        sent = elsewhere.enqueue(message("note_default"), delay=delay)
        eventually(lambda sent=sent: queue.state(sent) == "DONE")  # type: ignore[misc]
    elsewhere.enqueue(message("note_third", queue="third"))
    lone.join("third", timeout=30_000)
    # A consumer that lost its connection is replaced, and its replacement opens the queue again.
    lone.open("default")
    eventually(lambda: lone.lookout._thread is None or not lone.lookout._thread.is_alive())
    told = [record.getMessage() for record in caplog.records if record.name.startswith("broker.lookout")]
    assert told == ["MongoDB runs without a replica set; queues are polled every second."]


@pytest.mark.parametrize("work", ["enqueue", "enqueue_many", "own write"])
def test_transaction_says_that_it_needs_a_replica_set(lone: MongoBroker, queue: Queue, work: str) -> None:
    def begin() -> None:
        with transaction(lone.database.client) as session:
            if work == "enqueue":
                lone.enqueue(message())
            elif work == "enqueue_many":
                lone.enqueue_many([message()], delay=5)
            else:
                lone.database.orders.insert_one({}, session=session)

    with pytest.raises(NoTransactions, match="replica set"):
        begin()
    with pytest.raises(NoTransactions, match="replica set"):
        run_in_transaction(lone.database.client, lambda _session: lone.enqueue(message()))
    assert queue.states() == {}
    # What follows is not in the one that failed.
    lone.enqueue(message())
    assert queue.states() == {"QUEUED": 1}
