"""Fences: a delivery that is over changes nothing, whatever it still tries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker import (
    Delivery,
    LeaseLost,
    MongoBroker,
    complete_current,
    current_delivery,
    reschedule_current,
    transaction,
)
from broker.consumer import MongoConsumer
from broker.delivery import set_current
from tests.app.waiting import eventually
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message


@pytest.fixture
def consumer(broker: MongoBroker) -> MongoConsumer:
    return broker.consume("default", prefetch=1, timeout=20)


@pytest.fixture
def delivery(broker: MongoBroker, consumer: MongoConsumer) -> Any:
    """A message being run by this thread."""
    broker.enqueue(message())
    taken = eventually(lambda: next(consumer))
    set_current(taken)
    yield taken
    set_current(None)


LATE: dict[str, Callable[[MongoConsumer, Delivery], Any]] = {
    "ack": lambda consumer, late: consumer.ack(late),
    "nack": lambda consumer, late: consumer.nack(late),
    "requeue": lambda consumer, late: consumer.requeue([late]),
    "retry": lambda consumer, late: late.broker.enqueue(late, delay=5),
    "retry and ack": lambda consumer, late: (late.broker.enqueue(late, delay=5), consumer.ack(late)),
}


@pytest.mark.parametrize("state", ["QUEUED", "CONSUMED", "DONE"])
@pytest.mark.parametrize("attempt", LATE.values(), ids=LATE.keys())
def test_late_delivery_changes_nothing(
    make_broker: MakeBroker,
    consumer: MongoConsumer,
    delivery: Delivery,
    queue: Queue,
    attempt: Callable[[MongoConsumer, Delivery], Any],
    state: str,
) -> None:
    queue.take_from_worker(delivery._message)
    if state != "QUEUED":
        other = make_broker()
        other.declare_queue("default")
        rival = other.consume("default", prefetch=1, timeout=20)
        newer = eventually(lambda: next(rival))
        assert newer
        if state == "DONE":
            rival.ack(newer)
    before = queue.document(delivery._message)
    assert before["state"] == state
    attempt(consumer, delivery)
    assert queue.document(delivery._message) == before


def test_late_ack_makes_room_for_another_message(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    queue.take_from_worker(delivery._message)
    consumer.ack(delivery)
    assert eventually(lambda: next(consumer))


def test_late_completion_raises_and_rolls_the_transaction_back(
    broker: MongoBroker, delivery: Delivery, queue: Queue
) -> None:
    queue.take_from_worker(delivery._message)
    with pytest.raises(LeaseLost), transaction(broker.database.client) as session:
        broker.database.results.insert_one({}, session=session)
        complete_current()
    assert broker.database.results.find_one() is None
    assert queue.state(delivery._message) == "QUEUED"


def test_late_repeat_in_a_transaction_raises_and_rolls_it_back(
    broker: MongoBroker, delivery: Delivery, queue: Queue
) -> None:
    queue.take_from_worker(delivery._message)
    with pytest.raises(LeaseLost), transaction(broker.database.client) as session:
        broker.database.results.insert_one({}, session=session)
        broker.enqueue(delivery._message, delay=5)
    assert broker.database.results.find_one() is None


def test_message_is_settled_once(delivery: Delivery) -> None:
    complete_current()
    with pytest.raises(LeaseLost, match="settled before"):
        complete_current()


def test_retry_before_the_ack_is_a_repeat_and_the_ack_leaves_it_alone(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.options["retries"] = 1
    broker.enqueue(delivery, delay=60_000)
    repeat = queue.document(delivery._message)
    assert (repeat["state"], repeat["msg"]["options"]["retries"]) == ("DELAYED", 1)
    consumer.ack(delivery)
    assert queue.document(delivery._message) == repeat


def test_repeat_without_delay_goes_to_the_end_of_the_line(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    waiting = broker.enqueue(message())
    broker.enqueue(delivery)
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "QUEUED"
    assert queue.document(waiting)["seq"] < queue.document(delivery._message)["seq"]


def test_retry_during_an_outage_is_written_by_the_ack(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    broker.enqueue(message())
    consumer = broker.consume("default", timeout=20)
    delivery = eventually(lambda: next(consumer))
    assert delivery
    set_current(delivery)
    try:
        with failing("update", closeConnection=True):
            broker.enqueue(delivery, delay=60_000)
            assert queue.state(delivery._message) == "CONSUMED"
    finally:
        set_current(None)
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "DELAYED"


def test_repeat_that_cannot_be_stored_becomes_a_dead_letter(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.options["unstorable"] = object()
    with pytest.raises(Exception, match="cannot encode object"):
        broker.enqueue(delivery, delay=5)
    consumer.ack(delivery)
    assert queue.document(delivery._message)["reason"] == "its repeat cannot be stored"


def test_completion_commits_with_the_work_and_the_next_message(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    with transaction(broker.database.client):
        complete_current()
        following = broker.enqueue(message())
        assert queue.state(delivery._message) == "CONSUMED"
    assert queue.state(delivery._message) == "DONE"
    assert queue.state(following) == "QUEUED"


def test_completed_message_is_neither_acked_nor_failed_nor_repeated_after(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    complete_current()
    done = queue.document(delivery._message)
    broker.enqueue(delivery, delay=5)
    consumer.nack(delivery)
    assert queue.document(delivery._message) == done


def test_completion_that_was_rolled_back_leaves_the_message_deliverable(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    with pytest.raises(ZeroDivisionError), transaction(broker.database.client):
        complete_current()
        raise ZeroDivisionError
    assert not delivery.settled
    broker.enqueue(delivery, delay=1)
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "DELAYED"
    assert eventually(lambda: next(consumer))


def test_repeat_that_was_rolled_back_is_not_written_by_the_ack(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    with pytest.raises(ZeroDivisionError), transaction(broker.database.client):
        broker.enqueue(delivery._message, delay=5)
        raise ZeroDivisionError
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "DONE"


def test_reschedule_costs_no_attempt_and_merges_options(
    consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    reschedule_current(delay_ms=60_000, options={"waits": 1})
    consumer.ack(delivery)
    document = queue.document(delivery._message)
    assert (document["state"], document["msg"]["options"]) == ("DELAYED", {"waits": 1})


def test_reschedule_joins_the_transaction(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    with transaction(broker.database.client):
        reschedule_current(delay_ms=60_000)
        assert queue.state(delivery._message) == "CONSUMED"
    assert queue.state(delivery._message) == "DELAYED"


def test_outside_a_worker_there_is_nothing_to_settle() -> None:
    assert current_delivery() is None
    complete_current()
    reschedule_current(delay_ms=1)
