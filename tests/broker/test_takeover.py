"""A database that the real dramatiq-mongodb 0.8.3 has filled, taken over by this broker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from dramatiq.message import Message
from dramatiq_mongodb import MongoDBBroker
from pymongo.database import Database

from broker import MongoBroker, list_dead, retry_dead
from broker.documents import epoch_s
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000
A_WEEK = timedelta(days=7)


class Old:
    """An application that runs plain dramatiq-mongodb."""

    def __init__(self, database: Database[Any]) -> None:
        self.broker = MongoDBBroker(database=database, middleware=[])
        self.broker.declare_queue("default")
        self.consumer = self.broker.consume("default")

    def send(self, *args: Any, actor: str = "note", delay: int | None = None, **kwargs: Any) -> Message[Any]:
        sent: Message[Any] = Message(
            queue_name="default", actor_name=actor, args=args, kwargs=kwargs, options={"max_retries": 0}
        )
        stored: Message[Any] = self.broker.enqueue(sent, delay=delay)
        return stored

    def take(self) -> Any:
        """Begin to run a message."""
        return next(self.consumer)

    def finish(self) -> Any:
        taken = self.take()
        self.consumer.ack(taken)
        return taken

    def fail(self) -> Any:
        taken = self.take()
        self.consumer.nack(taken)
        return taken


@pytest.fixture
def old(database: Database[Any]) -> Old:
    return Old(database)


@pytest.fixture
def ran() -> list[Any]:
    """What "note" was called with."""
    return []


@pytest.fixture
def new_worker(broker: MongoBroker, start_worker: StartWorker, ran: list[Any]) -> Callable[[], None]:
    """Starts a worker of one thread that runs "note"."""

    def note(*args: Any, **kwargs: Any) -> None:
        ran.append((args, kwargs) if kwargs else args)

    def start() -> None:
        dramatiq.actor(note, broker=broker)
        start_worker(broker)

    return start


def test_what_is_ready_runs_as_it_was_sent_and_in_order(
    old: Old, new_worker: Callable[[], None], queue: Queue, ran: list[Any]
) -> None:
    for number in range(20):
        old.send(number, "$two")
    last = old.send({"deep": ["list", None]}, colour="red", size=1.5)
    new_worker()
    eventually(lambda: queue.states() == {"DONE": 21})
    assert ran == [
        *((number, "$two") for number in range(20)),
        (({"deep": ["list", None]},), {"colour": "red", "size": 1.5}),
    ]
    assert queue.document(last)["msg"]["options"] == {"max_retries": 0}


def test_order_is_kept_by_whoever_takes_over_without_knowing_the_actors(
    old: Old, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    for sent_at, actor in enumerate(["zoom", "pan", "zoom", "pan"], start=1_700_000_000_000):
        old.broker.enqueue(message(actor, sent_at).copy(message_timestamp=sent_at))
    # A web server, say, which only sends.
    sender = make_broker()
    sender.declare_queue("default")
    sender.enqueue(message("zoom", "new"))
    ran: list[Any] = []
    broker = make_broker()
    for name in ("zoom", "pan"):
        dramatiq.actor(ran.append, broker=broker, actor_name=name)
    start_worker(broker)
    eventually(lambda: queue.states() == {"DONE": 5})
    assert ran == [*range(1_700_000_000_000, 1_700_000_000_004), "new"]


def test_delayed_message_runs_at_its_time_and_not_before(
    old: Old, new_worker: Callable[[], None], queue: Queue, ran: list[Any]
) -> None:
    later = old.send("later", delay=AN_HOUR_MS)
    old.send("soon", delay=1)
    old.send("now")
    new_worker()
    eventually(lambda: queue.states() == {"DONE": 2, "DELAYED": 1})
    assert sorted(ran) == [("now",), ("soon",)]
    assert epoch_s(queue.document(later)["due"]) == later.options["eta"] / 1000
    queue.make_due(later)
    eventually(lambda: queue.states() == {"DONE": 3})
    assert ran[-1] == ("later",)


def test_what_was_running_runs_again_and_what_has_ended_does_not(
    old: Old, broker: MongoBroker, new_worker: Callable[[], None], queue: Queue, ran: list[Any]
) -> None:
    done, dead, lost = [old.send(name) for name in ("done", "dead", "lost")]
    assert [one.message_id for one in (old.finish(), old.fail(), old.take())] == [
        one.message_id for one in (done, dead, lost)
    ]
    new_worker()
    eventually(lambda: queue.states() == {"DONE": 2, "REJECTED": 1})
    assert ran == [("lost",)]
    now = broker.database.client.admin.command("hello")["localTime"]
    assert timedelta(0) < queue.document(done)["expire_at"] - now <= timedelta(hours=1)
    assert A_WEEK - timedelta(hours=1) < queue.document(dead)["expire_at"] - now <= A_WEEK

    (letter,) = list_dead(broker)
    assert (letter.message_id, letter.actor_name, letter.attempts) == (dead.message_id, "note", None)
    assert retry_dead(broker, everything=True).count == 1
    eventually(lambda: queue.states() == {"DONE": 3})
    assert ran == [("lost",), ("dead",)]


def test_queue_is_taken_over_once(
    old: Old, make_broker: MakeBroker, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    old.send("before")
    old.take()
    brokers = [make_broker(), make_broker()]
    for broker in brokers:
        broker.declare_queue("default")
    brokers[0].open("default")
    assert queue.states() == {"QUEUED": 1}
    # An old worker that is still there begins to run it.
    taken = old.take()
    brokers[1].open("default")
    assert queue.states() == {"CONSUMED": 1}
    old.consumer.ack(taken)
    assert queue.states() == {"DONE": 1}
    told = [record.getMessage() for record in caplog.records if "taken over" in record.getMessage()]
    assert told == ["Queue 'default' was taken over with 1 messages."]


def test_ten_that_take_over_at_once_run_each_message_once(old: Old, make_broker: MakeBroker, queue: Queue) -> None:
    for number in range(100):
        old.send(number)
    for _ in range(30):
        old.take()
    together, ran = threading.Barrier(10), Counter[int]()

    def work(broker: MongoBroker) -> None:
        broker.declare_queue("default")
        consumer = broker.consume("default", prefetch=4, timeout=20)
        together.wait()
        while queue.states() != {"DONE": 100}:
            while delivery := next(consumer):
                ran[delivery.args[0]] += 1
                consumer.ack(delivery)

    brokers = [make_broker(client={"maxPoolSize": 4}) for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(work, brokers))
    assert ran == dict.fromkeys(range(100), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"msg": "words"},
        {"msg.message_timestamp": 1e30},
        {"msg.message_timestamp": -7},
        {"msg.options": {"eta": "soon"}},
    ],
    ids=str,
)
def test_nonsense_does_not_keep_a_queue_from_being_taken_over(
    old: Old, new_worker: Callable[[], None], queue: Queue, ran: list[Any], change: dict[str, Any]
) -> None:
    broken, fine = old.send("broken"), old.send("fine")
    queue.collection.update_one({"_id": UUID(broken.message_id)}, {"$set": change})
    new_worker()
    eventually(lambda: queue.state(fine) == "DONE" and queue.state(broken) in {"DONE", "REJECTED"})
    assert ("fine",) in ran


def test_old_sender_is_understood_after_the_takeover(
    old: Old, broker: MongoBroker, new_worker: Callable[[], None], queue: Queue, ran: list[Any]
) -> None:
    new_worker()
    first = broker.enqueue(message("note", "new sender"))
    eventually(lambda: queue.state(first) == "DONE")
    later = old.send("later", delay=AN_HOUR_MS)
    now = old.send("now", colour="red")
    eventually(lambda: queue.state(now) == "DONE" and queue.state(later) == "DELAYED")
    assert ran == [("new sender",), (("now",), {"colour": "red"})]
    queue.make_due(later)
    eventually(lambda: queue.state(later) == "DONE")
    assert queue.collection.count_documents({"_id": UUID(later.message_id), "expire_at": {"$type": "date"}}) == 1
