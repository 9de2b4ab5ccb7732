from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from dramatiq import Worker
from pymongo.database import Database

from broker import MongoBroker, documents
from broker.consumer import MongoConsumer
from broker.lookout import Bell, Lookout, Rung
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change stream is never opened."""
    monkeypatch.setattr(Lookout, "start", lambda _lookout: None)


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not woken looks again in an hour."""
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", AN_HOUR_MS / 1000)


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
        broker.lookout.ring_all()


def is_asleep(consumer: MongoConsumer) -> bool:
    return consumer.bell._is_waiting


@pytest.mark.usefixtures("no_poll")
def test_sleeping_consumer_is_woken_by_a_message(broker: MongoBroker, sleeper: Any) -> None:
    waiting = sleeper()
    sent = broker.enqueue(message())
    assert waiting.result(timeout=60)._message == sent


@pytest.mark.usefixtures("no_poll")
def test_message_due_before_the_one_that_is_known_is_noticed(broker: MongoBroker, sleeper: Any) -> None:
    broker.enqueue(message("note", "known"), delay=AN_HOUR_MS)
    waiting = sleeper()
    broker.enqueue(message("note", "sooner"), delay=100)
    assert waiting.result(timeout=60).args == ("sooner",)


@pytest.mark.usefixtures("no_poll")
def test_message_that_is_given_back_wakes(broker: MongoBroker, make_broker: MakeBroker, sleeper: Any) -> None:
    other = make_broker()
    other.declare_queue("default")
    broker.enqueue(message())
    holder = other.consume("default", timeout=20)
    eventually(lambda: next(holder))
    waiting = sleeper()
    other.enqueue(message())
    assert waiting.result(timeout=60)


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


def listen(broker: MongoBroker) -> Bell:
    bell = broker.lookout.bell("default")
    bell.silence()
    # As if a consumer waited all the time.
    bell.has_listener = lambda: True  # type: ignore[method-assign]
    broker.lookout._idle.set()
    broker.lookout.start()
    wait_for(bell)
    return bell


def wait_for(bell: Bell) -> None:
    eventually(lambda: bell._is_rung)
    bell.silence()


@pytest.fixture
def _at_one_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is not opened anew because things are quiet, which rings."""
    monkeypatch.setattr("broker.lookout.QUIET_AFTER_S", AN_HOUR_MS / 1000)


@pytest.mark.usefixtures("no_poll")
def test_broken_change_stream_is_opened_again(
    make_broker: MakeBroker, failing: FailCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.lookout.REOPEN_AFTER_S", 0.05)
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    bell = listen(broker)
    # More than once: the stream of a test before may be taking its last look, and take a failure with it.
    with failing("getMore", times=3, errorCode=280):
        # What was missed meanwhile is made good by ringing when it is open again.
        wait_for(bell)
    enqueue_elsewhere(broker)
    wait_for(bell)


def enqueue_elsewhere(broker: MongoBroker) -> None:
    """As another process would: this one rings its own bells without the stream."""
    broker.queues["default"].insert_one({"state": "QUEUED"})


def test_lookout_can_be_started_right_after_a_stop(broker: MongoBroker) -> None:
    for _ in range(2):
        listen(broker)
        broker.lookout.stop()


@pytest.mark.usefixtures("_at_one_pace")
def test_finished_messages_ring_no_bell(broker: MongoBroker) -> None:
    broker.declare_queue("other")
    other = broker.lookout.bell("other")
    heard = listen(broker)
    other.silence()
    claimed = broker.queues["default"].insert_one({"state": "CONSUMED"}).inserted_id
    wait_for(heard)
    broker.queues["default"].update_one({"_id": claimed}, {"$set": {"state": "DONE"}})
    # Events come in order: once this one is here, the one before has been passed over.
    broker.queues["other"].insert_one({"state": "QUEUED"})
    wait_for(other)
    assert not heard._is_rung


@pytest.mark.usefixtures("_at_one_pace")
def test_queues_of_another_prefix_ring_no_bell(make_broker: MakeBroker, database: Database[Any]) -> None:
    broker = make_broker(collection_prefix="a.b")
    broker.declare_queue("default")
    broker.declare_queue("other")
    other = broker.lookout.bell("other")
    bell = listen(broker)
    other.silence()
    database["axb_default"].insert_one({"state": "QUEUED"})
    database["a.b_other"].insert_one({"state": "QUEUED"})
    wait_for(other)
    assert not bell._is_rung


@pytest.mark.usefixtures("_at_one_pace")
def test_stream_tells_when_what_is_due_soon_is_due_and_leaves_the_rest_to_the_look(broker: MongoBroker) -> None:
    broker.declare_queue("other")
    queue, other = broker.queues["default"], broker.lookout.bell("other")
    # Of a document of a few bytes the server tells that it was replaced.
    body = documents.body_of(message())
    queue.insert_many([{"_id": name, "state": "CONSUMED", **body} for name in ("late", "soon")])
    bell = listen(broker)
    other.silence()
    queue.update_one({"_id": "late"}, documents.rescheduled(body, delay_ms=AN_HOUR_MS))
    # Events come in order: once this one is here, the one before has been passed over.
    broker.queues["other"].insert_one({"state": "QUEUED"})
    wait_for(other)
    assert bell._due_at == math.inf
    queue.update_one({"_id": "soon"}, documents.rescheduled(body, delay_ms=100))
    eventually(bell.is_due)
    assert not bell._is_rung


def test_bell_keeps_the_sooner_of_two_times_and_forgets_neither_what_comes_during_a_look() -> None:
    bell = Bell(Event())
    bell.silence()
    bell.expect_due(0)
    bell.ring()
    bell.expect_due(60)
    assert bell.silence() == Rung(ready=True, due=True)
    assert not bell.is_ringing()


def test_one_look_sees_all_queues(broker: MongoBroker) -> None:
    for name in ("second", "third"):
        broker.declare_queue(name)
        broker.enqueue(message(queue=name))
    bells = {name: broker.lookout.bell(name) for name in broker.queues}
    for bell in bells.values():
        bell.silence()
    broker.lookout.look()
    assert {name for name, bell in bells.items() if bell._is_rung} == {"second", "third"}


def test_nobody_looks_twice_within_a_second(broker: MongoBroker) -> None:
    bell = broker.lookout.bell("default")
    broker.lookout.look()
    enqueue_elsewhere(broker)
    bell.silence()
    broker.lookout.look()
    assert not bell._is_rung
    broker.lookout.next_look_at = 0.0
    broker.lookout.look()
    assert bell._is_rung


def test_first_due_message_is_known_from_the_look(broker: MongoBroker) -> None:
    bell = broker.lookout.bell("default")
    bell.silence()
    broker.lookout.look()
    assert not bell.is_due()
    broker.queues["default"].insert_one({"state": "DELAYED", "due": datetime(2020, 1, 1, tzinfo=UTC)})
    broker.lookout.next_look_at = 0.0
    broker.lookout.look()
    assert bell.is_due()


@pytest.mark.usefixtures("deaf")
def test_paused_queue_with_a_due_message_is_waited_for_and_not_asked_all_the_time(
    broker: MongoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    wait = Bell.wait

    def counted(bell: Bell, deadline: float) -> None:
        waits.append(deadline)
        wait(bell, deadline)

    monkeypatch.setattr(Bell, "wait", counted)
    broker.pause(queue="default")
    broker.queues["default"].insert_one({"state": "DELAYED", "due": datetime(2020, 1, 1, tzinfo=UTC)})
    assert next(broker.consume("default", timeout=400)) is None
    assert len(waits) <= 3


def test_worker_that_has_no_threads_yet_is_not_paused(broker: MongoBroker) -> None:
    broker.worker = Worker(broker)
    assert not broker.consume("default")._must_wait()
    broker.worker = None
