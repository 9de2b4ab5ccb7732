"""Fences: a delivery that is over changes nothing, whatever it still tries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from pymongo.client_session import ClientSession

from broker import (
    Delivery,
    LeaseLost,
    MongoBroker,
    complete_current,
    current_delivery,
    reschedule_current,
    run_in_transaction,
    transaction,
)
from broker.consumer import MongoConsumer
from broker.delivery import set_current
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually


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


def retry(delivery: Delivery, *, delay: int | None = 60_000) -> None:
    """What Retries does: it enqueues the delivery itself."""
    delivery.broker.enqueue(cast("Message[Any]", delivery), delay=delay)


Attempt = Callable[[MongoConsumer, Delivery], None]
LATE: dict[str, list[Attempt]] = {
    "ack": [MongoConsumer.ack],
    "nack": [MongoConsumer.nack],
    "requeue": [lambda consumer, late: consumer.requeue([late])],
    "retry": [lambda _, late: retry(late)],
    "retry and ack": [lambda _, late: retry(late), MongoConsumer.ack],
}


@pytest.fixture(params=["QUEUED", "CONSUMED", "DONE"])
def overtaken(request: pytest.FixtureRequest, make_broker: MakeBroker, delivery: Delivery, queue: Queue) -> Delivery:
    """The delivery lost its lease, and the message went on without it to this state."""
    queue.take_from_worker(delivery._message)
    if request.param != "QUEUED":
        other = make_broker()
        other.declare_queue("default")
        rival = other.consume("default", prefetch=1, timeout=20)
        newer = eventually(lambda: next(rival))
        assert newer
        if request.param == "DONE":
            rival.ack(newer)
    assert queue.state(delivery._message) == request.param
    return delivery


@pytest.mark.parametrize("attempts", LATE.values(), ids=LATE.keys())
def test_late_delivery_changes_nothing(
    consumer: MongoConsumer, overtaken: Delivery, queue: Queue, attempts: list[Attempt]
) -> None:
    before = queue.document(overtaken._message)
    for attempt in attempts:
        attempt(consumer, overtaken)
    assert queue.document(overtaken._message) == before


def test_late_ack_makes_room_for_another_message(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    queue.take_from_worker(delivery._message)
    consumer.ack(delivery)
    assert eventually(lambda: next(consumer))


def test_late_completion_raises_and_rolls_the_transaction_back(
    broker: MongoBroker, delivery: Delivery, queue: Queue
) -> None:
    def work(session: ClientSession) -> None:
        broker.database.results.insert_one({}, session=session)
        complete_current()

    queue.take_from_worker(delivery._message)
    with pytest.raises(LeaseLost):
        run_in_transaction(broker.database.client, work)
    assert broker.database.results.find_one() is None
    assert queue.state(delivery._message) == "QUEUED"


def test_late_repeat_in_a_transaction_raises_and_rolls_it_back(
    broker: MongoBroker, delivery: Delivery, queue: Queue
) -> None:
    def work(session: ClientSession) -> None:
        broker.database.results.insert_one({}, session=session)
        retry(delivery)

    queue.take_from_worker(delivery._message)
    with pytest.raises(LeaseLost):
        run_in_transaction(broker.database.client, work)
    assert broker.database.results.find_one() is None


def test_message_is_settled_once(delivery: Delivery) -> None:
    complete_current()
    with pytest.raises(LeaseLost, match="settled before"):
        complete_current()


def test_retry_before_the_ack_is_a_repeat_and_the_ack_leaves_it_alone(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    set_current(None)
    delivery.options["retries"] = 1
    retry(delivery, delay=60_000)
    repeat = queue.document(delivery._message)
    assert (repeat["state"], repeat["msg"]["options"]["retries"]) == ("DELAYED", 1)
    consumer.ack(delivery)
    assert queue.document(delivery._message) == repeat


def test_retry_of_a_running_message_is_written_by_its_ack(
    consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.options["retries"] = 1
    retry(delivery, delay=60_000)
    assert queue.state(delivery._message) == "CONSUMED"
    consumer.ack(delivery)
    repeat = queue.document(delivery._message)
    assert (repeat["state"], repeat["msg"]["options"]["retries"]) == ("DELAYED", 1)


def test_repeat_without_delay_goes_to_the_end_of_the_line(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    waiting = broker.enqueue(message())
    retry(delivery, delay=None)
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
            retry(delivery, delay=60_000)
            assert queue.state(delivery._message) == "CONSUMED"
    finally:
        set_current(None)
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "DELAYED"


def test_repeat_that_cannot_be_stored_becomes_a_dead_letter(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.options["unstorable"] = object()
    with pytest.raises(Exception, match="not JSON serializable"):
        retry(delivery, delay=5)
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
    retry(delivery, delay=5)
    consumer.nack(delivery)
    assert queue.document(delivery._message) == done


def test_completion_that_was_rolled_back_leaves_the_message_deliverable(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    def work(session: ClientSession) -> None:
        complete_current()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_in_transaction(broker.database.client, work)
    assert not delivery.settled
    retry(delivery, delay=1)
    consumer.ack(delivery)
    assert queue.state(delivery._message) == "DELAYED"
    assert eventually(lambda: next(consumer))


def test_repeat_that_was_rolled_back_is_not_written_by_the_ack(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    def work(session: ClientSession) -> None:
        retry(delivery)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_in_transaction(broker.database.client, work)
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


def test_error_that_says_too_much_is_cut(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.stuff_exception(ValueError("x" * 9_000_000))  # type: ignore[no-untyped-call]
    consumer.nack(delivery)
    document = queue.document(delivery._message)
    assert document["state"] == "REJECTED"
    assert document["reason"].startswith("ValueError: xxx")
    assert len(document["reason"]) + len(document["traceback"]) < 100_000


def test_outcome_that_is_refused_for_good_becomes_a_dead_letter(
    broker: MongoBroker, consumer: MongoConsumer, delivery: Delivery, queue: Queue
) -> None:
    delivery.outcome = {"$odd": 1}
    with pytest.raises(BrokerConnectionError):
        consumer.ack(delivery)
    # As the worker does with this error.
    consumer.ack(delivery)
    assert queue.document(delivery._message)["reason"].startswith("its outcome cannot be stored")
