from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from broker import MongoBroker
from broker.consumer import MongoConsumer
from broker.wakeups import Wakeups
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change stream is never opened."""
    monkeypatch.setattr(Wakeups, "start", lambda _wakeups: None)


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not woken looks again in an hour."""
    monkeypatch.setattr("broker.consumer.LOOK_FOR_DUE_S", AN_HOUR_MS / 1000)


@pytest.fixture
def sleeper(broker: MongoBroker) -> Iterator[Any]:
    """Starts waiting for a delivery in a thread."""
    with ThreadPoolExecutor() as threads:
        consumer = broker.consume("default", timeout=AN_HOUR_MS)

        def sleep() -> Any:
            waiting = threads.submit(next, consumer)
            eventually(lambda: is_asleep(consumer))
            return waiting

        yield sleep
        broker.stopping.set()
        broker.wakeups.wake_all()


def is_asleep(consumer: MongoConsumer) -> bool:
    # Nothing else tells from outside that a thread waits for an event.
    return bool(consumer.awake._cond._waiters) and consumer._look_for_due_at > 0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_poll")
def test_sleeping_consumer_is_woken_by_a_message(broker: MongoBroker, sleeper: Any) -> None:
    waiting = sleeper()
    sent = broker.enqueue(message())
    assert waiting.result(timeout=20)._message == sent


@pytest.mark.usefixtures("no_poll")
def test_message_due_before_the_one_that_is_known_is_noticed(broker: MongoBroker, sleeper: Any) -> None:
    broker.enqueue(message("note", "known"), delay=AN_HOUR_MS)
    waiting = sleeper()
    broker.enqueue(message("note", "sooner"), delay=100)
    assert waiting.result(timeout=20).args == ("sooner",)


@pytest.mark.usefixtures("no_poll")
def test_message_that_is_given_back_wakes(broker: MongoBroker, make_broker: MakeBroker, sleeper: Any) -> None:
    other = make_broker()
    other.declare_queue("default")
    broker.enqueue(message())
    holder = other.consume("default", timeout=20)
    eventually(lambda: next(holder))
    waiting = sleeper()
    other.enqueue(message())
    assert waiting.result(timeout=20)


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("delay", [None, 50])
def test_message_is_picked_up_without_a_change_stream(broker: MongoBroker, delay: int | None) -> None:
    consumer = broker.consume("default", timeout=100)
    assert next(consumer) is None
    sent = broker.enqueue(message(), delay=delay)
    delivery = eventually(lambda: next(consumer))
    assert delivery
    assert delivery.message_id == sent.message_id


def test_message_is_picked_up_while_the_change_stream_cannot_be_opened(
    make_broker: MakeBroker, failing: FailCommand
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    with failing("aggregate", errorCode=280):
        consumer = broker.consume("default", timeout=100)
        broker.enqueue(message())
        assert eventually(lambda: next(consumer))


@pytest.mark.usefixtures("no_poll")
def test_broken_change_stream_is_opened_again(
    make_broker: MakeBroker, failing: FailCommand, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.wakeups.REOPEN_AFTER_S", 0.05)
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    broker.wakeups.start()
    awake = broker.wakeups.subscribe("default")
    assert awake.wait(timeout=20)
    awake.clear()
    # More than once: the stream of a test before may be taking its last look, and take a failure with it.
    with failing("getMore", times=3, errorCode=280):
        # What was missed meanwhile is made good by waking everybody when it is open again.
        assert awake.wait(timeout=20)
    awake.clear()
    broker.enqueue(message())
    assert awake.wait(timeout=20)


def test_wakeups_can_be_started_right_after_a_stop(broker: MongoBroker) -> None:
    awake = broker.wakeups.subscribe("default")
    for _ in range(2):
        broker.wakeups.start()
        assert awake.wait(timeout=20)
        broker.wakeups.stop()
        awake.clear()


def test_finished_messages_wake_nobody(broker: MongoBroker, database: Database[Any], queue: Queue) -> None:
    awake = broker.wakeups.subscribe("default")
    broker.wakeups.start()
    assert awake.wait(timeout=20)
    awake.clear()
    other = broker.wakeups.subscribe("other")
    queue.collection.insert_one({"state": "DONE"})
    # Events come in order: once this one is here, the one before has been passed over.
    database["other"].insert_one({"state": "QUEUED"})
    assert other.wait(timeout=20)
    assert not awake.is_set()


def test_queues_of_another_prefix_wake_nobody(make_broker: MakeBroker, database: Database[Any]) -> None:
    broker = make_broker(collection_prefix="a.b")
    awake, other = (broker.wakeups.subscribe(name) for name in ("axb_default", "a.b_default"))
    broker.wakeups.start()
    assert other.wait(timeout=20)
    eventually(awake.is_set)
    awake.clear()
    other.clear()
    database["axb_default"].insert_one({"state": "QUEUED"})
    database["a.b_default"].insert_one({"state": "QUEUED"})
    assert other.wait(timeout=20)
    assert not awake.is_set()
