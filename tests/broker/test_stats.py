from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
from bson import Timestamp
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.errors import QueueNotFound
from pymongo.database import Database

from broker import MongoBroker, State
from broker.stats import (
    QueueStats,
    age_of_oldest_ready_s,
    first_in_line,
    has_busy_worker,
    queue_stats,
    states,
)
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message, profiled

UNKNOWN = str(uuid4())


@pytest.fixture
def busy(broker: MongoBroker, queue: Queue) -> Queue:
    """A queue with one claimed message, two ready ones, three delayed ones, four dead ones and five that are done."""
    broker.enqueue(message())
    assert next(broker.consume("default", timeout=5_000)) is not None
    broker.enqueue(message("draw"))
    broker.enqueue(message())
    for _ in range(3):
        broker.enqueue(message(), delay=60_000)
    soon = datetime.now(UTC) + timedelta(hours=1)
    for state, count in (("REJECTED", 4), ("DONE", 5)):
        queue.collection.insert_many({"_id": uuid4(), "state": state, "expire_at": soon} for _ in range(count))
    return queue


def test_stats_count_what_is_in_each_queue(broker: MongoBroker, busy: Queue) -> None:
    broker.declare_queue("another")
    empty, full = queue_stats(broker)
    assert empty == QueueStats(
        "another", ready=0, delayed=0, in_flight=0, dead=0, paused=0, oldest_ready_age_s=0.0, is_paused=False
    )
    assert (full.queue_name, full.ready, full.delayed, full.in_flight, full.dead) == ("default", 2, 3, 1, 4)
    assert 0 <= full.oldest_ready_age_s < 60


def test_stats_tell_what_is_paused(broker: MongoBroker, busy: Queue) -> None:
    broker.pause(actor="draw")
    (found,) = queue_stats(broker)
    assert (found.is_paused, found.paused) == (False, 1)
    broker.pause(queue="default")
    (found,) = queue_stats(broker)
    assert (found.is_paused, found.paused) == (True, 2)


def test_finished_messages_cost_stats_nothing(broker: MongoBroker, database: Database[Any], busy: Queue) -> None:
    queue_stats(broker)
    soon = datetime.now(UTC) + timedelta(hours=1)
    busy.collection.insert_many(
        {"_id": uuid4(), "state": "DONE", "priority": 0, "seq": Timestamp(1, 1), "expire_at": soon}
        for _ in range(3_000)
    )  # fmt: skip
    broker.pause(actor="draw")
    with profiled(database) as read:
        queue_stats(broker)
        age_of_oldest_ready_s(broker)
        has_busy_worker(broker)
    assert max(read()) < 10


def test_a_document_that_is_no_message_does_not_end_stats(broker: MongoBroker, busy: Queue) -> None:
    busy.collection.insert_many([{"state": state} for state in ("QUEUED", "CONSUMED", "DELAYED", "REJECTED")])
    busy.collection.insert_one({"state": "QUEUED", "priority": 3})
    (found,) = queue_stats(broker)
    assert (found.ready, found.dead) == (4, 5)


def test_oldest_ready_message_is_found_behind_other_priorities(broker: MongoBroker, queue: Queue) -> None:
    broker.declare_queue("empty")
    assert age_of_oldest_ready_s(broker) == 0.0
    now = int(datetime.now(UTC).timestamp())
    for priority, age in ((0, 5), (0, 3), (7, 500), (9, 8)):
        queue.collection.insert_one({"state": "QUEUED", "priority": priority, "seq": Timestamp(now - age, 1)})
    queue.collection.insert_one({"state": "DONE", "priority": 0, "seq": Timestamp(now - 9_000, 1)})
    assert 500 <= age_of_oldest_ready_s(broker) < 600
    assert [500 <= one.oldest_ready_age_s < 600 for one in queue_stats(broker)] == [True, False]


def test_delayed_message_that_nobody_made_ready_counts_from_its_due_time(broker: MongoBroker, queue: Queue) -> None:
    overdue = datetime.now(UTC) - timedelta(seconds=700)
    queue.collection.insert_one({"state": "DELAYED", "priority": 0, "due": overdue})
    assert 700 <= age_of_oldest_ready_s(broker) < 800


def test_delayed_message_that_is_not_due_has_no_age(broker: MongoBroker) -> None:
    broker.enqueue(message(), delay=60_000)
    assert age_of_oldest_ready_s(broker) == 0.0


def test_worker_is_busy_while_it_lives_and_holds_a_message(broker: MongoBroker) -> None:
    assert not has_busy_worker(broker)
    broker.enqueue(message())
    assert not has_busy_worker(broker)
    delivery = next(broker.consume("default", timeout=5_000))
    assert delivery is not None
    assert has_busy_worker(broker)
    broker.lease._workers.update_many({}, {"$set": {"expires": datetime.now(UTC) - timedelta(hours=1)}})
    assert not has_busy_worker(broker)


def test_states_of_those_that_are_stored(broker: MongoBroker, queue: Queue) -> None:
    waiting, done = broker.enqueue(message()), broker.enqueue(message())
    queue.collection.update_one({"_id": UUID(done.message_id)}, {"$set": {"state": "DONE"}})
    assert states(broker, "default", [waiting.message_id, done.message_id, UNKNOWN]) == {
        waiting.message_id: State.QUEUED,
        done.message_id: State.DONE,
    }


def test_states_in_an_undeclared_queue_are_refused(broker: MongoBroker) -> None:
    with pytest.raises(QueueNotFound):
        states(broker, "nowhere", [UNKNOWN])


@pytest.mark.parametrize(
    "use",
    [queue_stats, age_of_oldest_ready_s, has_busy_worker, lambda broker: states(broker, "default", [UNKNOWN])],
    ids=["queue_stats", "age", "busy", "states"],
)
def test_unreachable_database_is_a_connection_error(
    make_broker: MakeBroker, failing: FailCommand, use: Callable[[MongoBroker], object]
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    with failing("find", "aggregate", "distinct", errorCode=91), pytest.raises(BrokerConnectionError):
        use(broker)


def test_the_line_goes_by_urgency_and_then_by_age(broker: MongoBroker, queue: Queue) -> None:
    dramatiq.actor(lambda: None, broker=broker, actor_name="urgent", priority=-1)
    first, second = broker.enqueue(message()), broker.enqueue(message())
    urgent = broker.enqueue(message("urgent"))
    broker.enqueue(message(), delay=60_000)
    in_line = [sent.message_id for sent in (urgent, first, second)]
    assert first_in_line(broker, "default", limit=10) == in_line
    assert first_in_line(broker, "default", limit=2) == in_line[:2]
    claimed = next(broker.consume("default", timeout=5_000))
    assert claimed is not None
    assert first_in_line(broker, "default", limit=10) == in_line[1:]


def test_the_head_of_a_long_line_costs_no_more_than_a_short_one(
    broker: MongoBroker, database: Database[Any], queue: Queue
) -> None:
    broker.enqueue_many(message() for _ in range(300))
    with profiled(database) as examined:
        assert len(first_in_line(broker, "default", limit=20)) == 20
        assert sum(examined()) <= 20


def test_the_line_of_a_queue_that_nobody_knows_is_an_error(broker: MongoBroker) -> None:
    with pytest.raises(QueueNotFound):
        first_in_line(broker, "unknown", limit=1)
