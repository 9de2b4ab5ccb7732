"""Acks are written in batches by a thread of their own."""

from __future__ import annotations

from threading import Event
from typing import Any

import dramatiq
import pytest

from broker import MongoBroker
from broker.acks import Acks
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually


def take(broker: MongoBroker, count: int) -> list[Any]:
    """So many deliveries of new messages."""
    broker.enqueue_many([message() for _ in range(count)])
    consumer = broker.consume("default", prefetch=count, timeout=100)
    return [eventually(lambda: next(consumer)) for _ in range(count)]


def test_acks_are_written_together(broker: MongoBroker, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    complete = Acks._complete

    def counted(acks: Acks, queue_name: str, batch: list[Any]) -> bool:
        batches.append(len(batch))
        return complete(acks, queue_name, batch)

    monkeypatch.setattr(Acks, "_complete", counted)
    monkeypatch.setattr("broker.acks.COMPANY_S", 0.2)
    for delivery in take(broker, 50):
        broker.completions.add(delivery)
    eventually(lambda: queue.states() == {"DONE": 50})
    assert batches == [50]


def test_message_is_held_until_its_ack_is_written(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.acks.RETRY_S", 0.01)
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    deliveries = take(broker, 3)
    with failing("update", closeConnection=True):
        for delivery in deliveries:
            broker.completions.add(delivery)
        assert len(broker.shelves["default"].held()) == 3
        assert queue.states() == {"CONSUMED": 3}
    eventually(lambda: queue.states() == {"DONE": 3})
    eventually(lambda: broker.shelves["default"].held() == [])


def test_late_ack_among_others_changes_nothing(broker: MongoBroker, queue: Queue) -> None:
    late, other = take(broker, 2)
    queue.take_from_worker(late._message)
    consumer = broker.consume("default", prefetch=5, timeout=100)
    again: Any = eventually(lambda: next(consumer))
    for delivery in (late, other):
        broker.completions.add(delivery)
    eventually(lambda: queue.state(other._message) == "DONE")
    assert queue.state(late._message) == "CONSUMED"
    consumer.ack(again)
    assert queue.state(late._message) == "DONE"


def test_acks_are_written_before_a_worker_is_gone(
    broker: MongoBroker, queue: Queue, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.acks.COMPANY_S", 60.0)
    ran = Event()

    @dramatiq.actor(broker=broker)
    def run() -> None:
        ran.set()

    run.send()
    worker = start_worker(broker)
    assert ran.wait(timeout=60)
    worker.stop()
    assert queue.states() == {"DONE": 1}


def test_acks_that_cannot_be_written_end_nobodys_stop(
    make_broker: MakeBroker, failing: FailCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.acks.RETRY_S", 0.01)
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    (delivery,) = take(broker, 1)
    with failing("update", closeConnection=True):
        broker.completions.add(delivery)
        broker.completions.close(within_s=0.2)
    assert not delivery.settled
