"""Many messages at once, messages that cannot be stored, and what is sent at the end of a run."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from dramatiq import pipeline
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from app.stack import Servers
from broker import InvalidUniqueKey, MessageTooLarge, MongoBroker, group, run_in_transaction, transaction
from broker.errors import is_passing
from broker.transaction import DURABLE
from tests.broker.commands import Commands
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000
IN_LINE = [("priority", 1), ("seq", 1)]


class Change(Exception):
    """Somebody changes their mind."""


def many(count: int, **options: Any) -> list[Message[Any]]:
    return [message("note", number, **options) for number in range(count)]


def in_line(queue: Queue) -> list[Any]:
    """The first arguments of what is ready, in order."""
    return [found["msg"]["args"][0] for found in queue.collection.find({"state": "QUEUED"}).sort(IN_LINE)]


# Many at once


def test_thousands_are_stored_in_their_order_in_few_commands(make_broker: MakeBroker, queue: Queue) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    broker.declare_queue("default")
    sent = many(2_500)
    assert broker.enqueue_many(iter(sent)) == sent
    assert [len(command["documents"]) for command in commands.named("insert", on="default")] == [1000, 1000, 500]
    assert in_line(queue) == list(range(2_500))


def test_thousands_are_delayed_in_few_commands(make_broker: MakeBroker, queue: Queue) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    broker.declare_queue("default")
    broker.open("default")
    commands.sent.clear()
    sent = broker.enqueue_many(many(1_500), delay=AN_HOUR_MS)
    assert all("eta" in one.options for one in sent)
    assert len(commands.named("update", on="default")) == 2
    assert queue.states() == {"DELAYED": 1_500}


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("delay", [None, AN_HOUR_MS])
def test_those_that_are_known_are_treated_as_one_by_one(
    broker: MongoBroker,
    queue: Queue,
    delay: int | None,
    in_transaction: bool,  # noqa: FBT001
) -> None:
    messages = many(5)
    living, done, dead, *new = messages
    broker.enqueue_many([living, done, dead])
    for ended, state in ((done, "DONE"), (dead, "REJECTED")):
        queue.collection.update_one({"_id": UUID(ended.message_id)}, {"$set": {"state": state, "reason": "tired"}})
    before = queue.document(living)
    twice = [*messages, *messages]
    if in_transaction:
        run_in_transaction(broker.database.client, lambda _: broker.enqueue_many(twice, delay=delay))
    else:
        broker.enqueue_many(twice, delay=delay)
    assert queue.document(living) == before
    assert [queue.state(one) for one in (done, dead, *new)] == ["DELAYED" if delay else "QUEUED"] * 4
    assert queue.collection.count_documents({"reason": {"$exists": True}}) == 0
    if not delay:
        # Those that run again are at the end of the line.
        assert in_line(queue) == [0, 3, 4, 1, 2]


def test_many_of_several_queues_and_unique_ones_are_sent_together(broker: MongoBroker, database: Database[Any]) -> None:
    broker.declare_queue("other")
    mixed = [message(queue="other"), message(), message(unique_key="one"), message(unique_key="one")]
    sent = broker.enqueue_many(mixed)
    assert sent == [*mixed[:3], mixed[2]]
    assert [database[name].count_documents({"state": "QUEUED"}) for name in ("default", "other")] == [2, 1]


@pytest.mark.parametrize("delay", [None, AN_HOUR_MS])
@pytest.mark.parametrize("ends", ["well", "badly"])
def test_many_in_a_transaction_are_stored_all_or_not_at_all(
    broker: MongoBroker, queue: Queue, delay: int | None, ends: str
) -> None:
    def order() -> None:
        with transaction(broker.database.client):
            broker.enqueue_many(many(1_200), delay=delay)
            assert queue.states() == {}
            if ends == "badly":
                raise Change

    if ends == "well":
        order()
    else:
        with pytest.raises(Change):
            order()
    assert queue.states() == ({"DELAYED" if delay else "QUEUED": 1_200} if ends == "well" else {})


def test_batch_that_raises_stores_nothing(broker: MongoBroker, queue: Queue) -> None:
    def order() -> None:
        with broker.batch():
            broker.enqueue(message())
            with broker.batch():
                broker.enqueue_many(many(5))
            assert queue.states() == {}
            raise Change

    with pytest.raises(Change):
        order()
    assert queue.states() == {}
    broker.enqueue(message())
    assert queue.states() == {"QUEUED": 1}


def test_transaction_in_a_batch_takes_its_own_messages_with_it(broker: MongoBroker, queue: Queue) -> None:
    def order() -> None:
        with transaction(broker.database.client):
            broker.enqueue(message("note", "rolled back"))
            broker.enqueue_many([message("note", "rolled back too")])
            raise Change

    with broker.batch():
        broker.enqueue(message("note", "of the batch"))
        with pytest.raises(Change):
            order()
        with transaction(broker.database.client):
            broker.enqueue(message("note", "committed"))
        assert in_line(queue) == ["committed"]
    assert in_line(queue) == ["committed", "of the batch"]


def test_batch_is_one_brokers(broker: MongoBroker, make_broker: MakeBroker, database: Database[Any]) -> None:
    other = make_broker(collection_prefix="other")
    other.declare_queue("default")
    with broker.batch():
        broker.enqueue(message())
        other.enqueue_many(many(2))
        assert database["other_default"].count_documents({}) == 2
    assert database["default"].count_documents({}) == 1


def test_group_is_stored_in_one_command(make_broker: MakeBroker, queue: Queue) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    broker.declare_queue("default")
    group(many(100), broker=broker).run()  # type: ignore[no-untyped-call]
    assert len(commands.named("insert", on="default")) == 1
    assert in_line(queue) == list(range(100))


def test_many_that_failed_half_way_can_be_sent_again(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    broker.enqueue(message("note", "before"))
    mixed = [*many(20), *many(20, eta=current_millis() + AN_HOUR_MS)]
    # The driver repeats a write once by itself.
    with failing("update", times=2, closeConnection=True):
        with pytest.raises(BrokerConnectionError):
            broker.enqueue_many(mixed)
        assert queue.states() == {"QUEUED": 21}
        broker.enqueue_many(mixed)
    assert queue.states() == {"QUEUED": 21, "DELAYED": 20}


def test_conflict_of_a_send_with_another_writer_is_tried_again(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message("note", "once"))
    queue.collection.update_one({}, {"$set": {"state": "DONE"}})
    tries: list[int] = []

    def work(session: Any) -> None:
        tries.append(1)
        broker.queues["default"].find_one({}, session=session)
        if len(tries) == 1:
            queue.collection.update_one({}, {"$set": {"touched": True}})
        broker.enqueue(sent)

    run_in_transaction(broker.database.client, work)
    assert len(tries) == 2
    assert queue.states() == {"QUEUED": 1}


# What cannot be stored


UNSTORABLE: dict[str, tuple[dict[str, Any], int | None, type[Exception]]] = {
    "too large": ({"words": "x" * (15 * 1024 * 1024)}, None, MessageTooLarge),
    "bytes": ({"words": b"x"}, None, TypeError),
    "an object": ({"words": object()}, None, TypeError),
    "key of the wrong type": ({"unique_key": 7}, None, InvalidUniqueKey),
    "eta of words": ({"eta": "soon"}, None, TypeError),
    "eta of truth": ({"eta": True}, None, TypeError),
    "eta that is no number": ({"eta": float("nan")}, None, ValueError),
    "eta without end": ({"eta": float("inf")}, None, ValueError),
    "eta in ages": ({"eta": 10**15}, None, ValueError),
    "delay of ages": ({}, 10**15, ValueError),
}


@pytest.mark.parametrize(("options", "delay", "error"), UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_message_that_cannot_be_stored_raises_and_leaves_nothing(
    broker: MongoBroker, queue: Queue, options: dict[str, Any], delay: int | None, error: type[Exception]
) -> None:
    wrong = message("note", **options)
    with pytest.raises(error):
        broker.enqueue(wrong, delay=delay)
    # Nor of those that were sent with it.
    with pytest.raises(error):
        broker.enqueue_many([message(), message(eta=current_millis() + 1000), wrong], delay=delay)
    with pytest.raises(error):
        run_in_transaction(
            broker.database.client, lambda _: [broker.enqueue(message()), broker.enqueue(wrong, delay=delay)]
        )
    assert queue.states() == {}


@pytest.mark.parametrize("eta", [0, -5, 1.5, 1_700_000_000_000])
def test_eta_that_has_passed_is_ready_at_once(broker: MongoBroker, queue: Queue, eta: float) -> None:
    sent = broker.enqueue(message(eta=eta))
    assert queue.state(sent) == "QUEUED"


LONG = "画" * 60


@pytest.mark.parametrize("name", ["", "a$b", "a\0b", ".a", "a.", "a..b", "system.a", "x" * 235, "画" * 100, "\ud800"])
def test_name_that_no_collection_can_have_is_refused_at_once(make_broker: MakeBroker, name: str) -> None:
    with pytest.raises(ValueError, match=r"named|surrogates"):
        make_broker().declare_queue(name)
    # A prefix may be empty, and never ends the name.
    if name not in ("", "a."):
        with pytest.raises(ValueError, match=r"named|surrogates"):
            make_broker(collection_prefix=name)


@pytest.mark.parametrize("name", [LONG, "a b", "a.b-c:d", "\n", "é"])
def test_odd_name_that_a_collection_can_have_works(
    make_broker: MakeBroker, start_worker: StartWorker, name: str
) -> None:
    broker = make_broker(collection_prefix="p")
    ran: list[str] = []
    actor = dramatiq.actor(ran.append, broker=broker, actor_name="note", queue_name="default")
    broker.declare_queue(name)
    start_worker(broker)
    broker.enqueue(actor.message("here").copy(queue_name=name))
    eventually(lambda: ran == ["here"])


# What is sent at the end of a run


def pipeline_through(broker: MongoBroker, started: threading.Event, gate: threading.Event, ran: list[Any]) -> Any:
    """Sends two messages, the second by the end of the first, which waits for the gate; returns both."""

    def first() -> str:
        ran.append("first")
        started.set()
        assert gate.wait(60)
        return "handed on"

    one: Any = dramatiq.actor(first, broker=broker, on_success="told")
    two: Any = dramatiq.actor(ran.append, broker=broker, actor_name="second", queue_name="second")
    dramatiq.actor(lambda _message, result: ran.append(result), broker=broker, actor_name="told", queue_name="second")
    return pipeline([one.message(), two.message()], broker=broker).run().messages


def test_end_of_a_message_and_what_follows_from_it_commit_together(
    make_broker: MakeBroker,
    start_worker: StartWorker,
    queue: Queue,
    failing: FailCommand,
    database: Database[Any],
) -> None:
    commands, started, gate, ran = Commands(), threading.Event(), threading.Event(), list[Any]()
    broker = make_broker(client={**FAULTY, "event_listeners": [commands]})
    sent, following = pipeline_through(broker, started, gate, ran)
    start_worker(broker)
    assert started.wait(60)
    second = Queue(database["second"])
    # What follows is inserted, and then the end of the message is refused.
    with failing("update", closeConnection=True):
        gate.set()
        eventually(lambda: len(commands.named("insert", on="second")) > 2)
        assert (queue.state(sent), second.states()) == ("CONSUMED", {})
    eventually(lambda: queue.state(sent) == "DONE" and second.states() == {"DONE": 2})
    assert second.state(following) == "DONE"
    assert sorted(ran) == ["first", "handed on", "handed on"]


@pytest.mark.parametrize(
    "how",
    [
        {"closeConnection": True, "times": 2},
        {"writeConcernError": {"code": 64, "errmsg": "no majority"}, "times": 2},
    ],
    ids=["connection", "answer"],
)
def test_end_whose_commit_fails_or_is_not_answered_is_written_once(
    make_broker: MakeBroker, start_worker: StartWorker, database: Database[Any], failing: FailCommand, how: Any
) -> None:
    gate, started, ran = threading.Event(), threading.Event(), list[Any]()
    broker = make_broker(client=FAULTY)
    sent, _ = pipeline_through(broker, started, gate, ran)
    queue = Queue(database["default"])
    start_worker(broker)
    assert started.wait(60)
    with failing("commitTransaction", **how):
        gate.set()
        eventually(lambda: queue.state(sent) == "DONE")
    second = Queue(database["second"])
    eventually(lambda: second.states() == {"DONE": 2})
    assert sorted(ran) == ["first", "handed on", "handed on"]


def test_outage_at_the_end_of_a_run_loses_nothing_that_follows(
    servers: Servers, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, database: Database[Any]
) -> None:
    started, gate, ran = threading.Event(), threading.Event(), list[Any]()
    broker = make_broker(client={"serverSelectionTimeoutMS": 200, "heartbeatFrequencyMS": 500})
    sent, _ = pipeline_through(broker, started, gate, ran)
    start_worker(broker)
    assert started.wait(60)
    # A claim is journaled a little later by itself; what is not yet journaled a kill undoes.
    database.with_options(write_concern=DURABLE).marks.insert_one({})
    servers.mongod.kill()
    try:
        gate.set()
        # Until the actor has returned and all hooks are through.
        delivery = broker.shelves["default"].find(sent.message_id)
        assert delivery
        eventually(lambda: len(delivery._writes) == 2)
    finally:
        servers.mongod.restart()
    second = Queue(database["second"])
    eventually(lambda: queue.state(sent) == "DONE" and second.states() == {"DONE": 2})
    assert sorted(ran) == ["first", "handed on", "handed on"]


def test_message_that_is_small_as_json_and_large_as_a_document_is_stored(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message("note", [0] * 1_500_000))
    assert "encoded" in queue.document(sent)
    delivery: Any = eventually(lambda: next(broker.consume("default", timeout=100)))
    assert delivery.args == ([0] * 1_500_000,)


def test_queue_is_not_named_like_the_brokers_own_collections(broker: MongoBroker) -> None:
    with pytest.raises(ValueError, match="belong to the broker"):
        broker.declare_queue("dramatiq_workers")


def test_write_that_no_majority_confirmed_is_worth_repeating() -> None:
    unconfirmed = {
        "writeErrors": [],
        "writeConcernErrors": [{"code": 64, "errmsg": "waiting for replication timed out"}],
    }
    assert is_passing(BulkWriteError(unconfirmed))
    assert not is_passing(BulkWriteError({"writeErrors": [{"code": 121}], "writeConcernErrors": []}))
