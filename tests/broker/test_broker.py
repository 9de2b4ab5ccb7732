from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import Middleware
from pymongo import MongoClient
from pymongo.database import Database

from app.stack.ports import free_port
from broker import MongoBroker, documents
from tests.broker.commands import Commands
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message


class Hooks(Middleware):
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.calls.append(("before", message.message_id, delay))

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.calls.append(("after", message.message_id, delay))

    def after_declare_queue(self, broker: Any, queue_name: str) -> None:
        self.calls.append(("declared", queue_name))


@pytest.fixture
def unreachable() -> Any:
    with MongoClient[Any](f"mongodb://127.0.0.1:{free_port()}", serverSelectionTimeoutMS=50) as client:
        yield MongoBroker(database=client["nowhere"])


@pytest.mark.parametrize("delay", [None, 60_000])
def test_enqueue_returns_when_the_message_is_journaled_on_a_majority(
    make_broker: MakeBroker, delay: int | None
) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands], "w": 1})
    broker.declare_queue("default")
    broker.enqueue(message(), delay=delay)
    stored = commands.sent[-1]
    assert stored.get("insert") or stored.get("update")
    assert stored["writeConcern"] == {"w": "majority", "j": True}


def test_enqueued_message_is_ready(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message())
    assert queue.state(sent) == "QUEUED"


def test_delayed_message_is_due_after_its_delay_on_the_servers_clock(
    broker: MongoBroker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.broker.current_millis", lambda: 0)
    sent = broker.enqueue(message(), delay=3_600_000)
    wait_s = (queue.document(sent)["due"] - datetime.now(UTC).replace(tzinfo=None)).total_seconds()
    assert 3_500 < wait_s <= 3_600


def test_delayed_message_comes_back_with_its_eta(broker: MongoBroker) -> None:
    assert broker.enqueue(message(), delay=1000).options["eta"] > 1_700_000_000_000


@pytest.mark.parametrize("delay", [None, 60_000])
def test_live_message_sent_again_is_left_as_it_is(broker: MongoBroker, queue: Queue, delay: int | None) -> None:
    sent = broker.enqueue(message())
    before = queue.document(sent)
    broker.enqueue(sent, delay=delay)
    assert queue.document(sent) == before


@pytest.mark.parametrize("state", ["DONE", "REJECTED"])
@pytest.mark.parametrize(("delay", "becomes"), [(None, "QUEUED"), (60_000, "DELAYED")])
def test_finished_message_sent_again_runs_again(
    broker: MongoBroker, queue: Queue, state: str, delay: int | None, becomes: str
) -> None:
    sent = broker.enqueue(message())
    queue.collection.update_one(
        {}, {"$set": {"state": state, "crashes": 2, "reason": "tired", "expire_at": datetime.now(UTC)}}
    )
    broker.enqueue(sent, delay=delay)
    document = queue.document(sent)
    assert (document["state"], document["crashes"]) == (becomes, 0)
    assert not document.keys() & {"expire_at", "reason"}


def test_finished_message_sent_again_goes_to_the_end_of_the_line(broker: MongoBroker, queue: Queue) -> None:
    again = broker.enqueue(message())
    queue.collection.update_one({}, {"$set": {"state": "DONE"}})
    first = broker.enqueue(message())
    broker.enqueue(again)
    assert queue.document(first)["seq"] < queue.document(again)["seq"]


def test_requeue_is_enqueue(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.requeue(message(), delay=60_000)
    assert queue.state(sent) == "DELAYED"


def test_dollars_and_dots_survive_storing(broker: MongoBroker, queue: Queue) -> None:
    args = ("$msg", {"$set": {"a.b": "$$NOW"}}, "a.b")
    for delay in (None, 60_000):
        sent = broker.enqueue(message("note", *args, **{"$where": "$x"}), delay=delay)
        stored = queue.document(sent)["msg"]
        assert stored["args"] == list(args)
        assert stored["options"]["$where"] == "$x"


def test_enqueue_hooks_surround_the_storing(make_broker: MakeBroker) -> None:
    hooks = Hooks()
    broker = make_broker(middleware=[hooks])
    broker.declare_queue("default")
    sent = broker.enqueue(message(), delay=5)
    assert hooks.calls == [("declared", "default"), ("before", sent.message_id, 5), ("after", sent.message_id, 5)]


def test_queue_is_declared_once(make_broker: MakeBroker) -> None:
    hooks = Hooks()
    broker = make_broker(middleware=[hooks])
    broker.declare_queue("default")
    broker.declare_queue("default")
    assert hooks.calls == [("declared", "default")]
    assert broker.get_declared_queues() == {"default"}


def test_collection_prefix_keeps_brokers_apart(make_broker: MakeBroker, database: Database[Any]) -> None:
    for prefix in ("blue", "red"):
        broker = make_broker(collection_prefix=prefix)
        broker.declare_queue("default")
        broker.enqueue(message())
    assert database["blue_default"].count_documents({}) == database["red_default"].count_documents({}) == 1


@pytest.mark.parametrize("use", ["enqueue", "consume", "flush", "join"])
def test_undeclared_queue_is_refused(broker: MongoBroker, use: str) -> None:
    with pytest.raises(QueueNotFound):
        getattr(broker, use)(message(queue="nowhere") if use == "enqueue" else "nowhere")


def test_making_a_broker_does_not_touch_the_database(unreachable: MongoBroker) -> None:
    unreachable.declare_queue("default")
    assert unreachable.get_declared_queues() == {"default"}


@pytest.mark.parametrize("use", ["enqueue", "flush", "join", "open"])
def test_unreachable_database_is_a_connection_error(unreachable: MongoBroker, use: str) -> None:
    unreachable.declare_queue("default")
    with pytest.raises(BrokerConnectionError):
        getattr(unreachable, use)(message() if use == "enqueue" else "default")


def test_consumer_without_a_database_raises_a_connection_error(unreachable: MongoBroker) -> None:
    unreachable.declare_queue("default")
    with pytest.raises(BrokerConnectionError):
        next(unreachable.consume("default"))


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": 91}, {"errorCode": 189}])
@pytest.mark.parametrize("command", ["insert", "update"])
def test_enqueue_that_raised_can_be_repeated_and_stores_one_message(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand, command: str, how: dict[str, Any]
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    broker.enqueue(message())
    sent, delay = message(), 1000 if command == "update" else None
    # The driver repeats a write once by itself.
    with failing(command, times=2, **how):
        with pytest.raises(BrokerConnectionError):
            broker.enqueue(sent, delay=delay)
        broker.enqueue(sent, delay=delay)
    assert queue.collection.count_documents({"_id": UUID(sent.message_id)}) == 1


def test_enqueue_whose_answer_was_lost_can_be_repeated(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand
) -> None:
    broker = make_broker(client={**FAULTY, "retryWrites": False})
    broker.declare_queue("default")
    broker.enqueue(message())
    sent = message()
    with failing("insert", times=1, writeConcernError={"code": 91, "errmsg": "the primary goes", "errorLabels": []}):
        with pytest.raises(BrokerConnectionError):
            broker.enqueue(sent)
        assert queue.state(sent) == "QUEUED"
        broker.enqueue(sent)
    assert queue.states() == {"QUEUED": 2}


def test_flush_removes_messages_of_every_state(broker: MongoBroker, queue: Queue) -> None:
    for state in ("DELAYED", "QUEUED", "CONSUMED", "DONE", "REJECTED"):
        queue.collection.insert_one({"state": state})
    broker.flush("default")
    assert queue.states() == {}


def test_flush_all_removes_the_messages_of_every_queue(broker: MongoBroker, queue: Queue) -> None:
    broker.declare_queue("other")
    for name in ("default", "other"):
        broker.enqueue(message(queue=name))
    broker.flush_all()
    assert broker.database["other"].count_documents({}) == queue.collection.count_documents({}) == 0


def test_flushed_queue_can_be_used_on(broker: MongoBroker, queue: Queue) -> None:
    broker.enqueue(message())
    broker.flush("default")
    broker.enqueue(message())
    assert queue.states() == {"QUEUED": 1}


@pytest.mark.parametrize("state", ["DELAYED", "QUEUED", "CONSUMED"])
def test_join_waits_for_live_messages_until_its_timeout(broker: MongoBroker, queue: Queue, state: str) -> None:
    queue.collection.insert_one({"state": state})
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=20, interval=5)


def test_join_returns_when_everything_is_finished(broker: MongoBroker, queue: Queue) -> None:
    queue.collection.insert_many([{"state": "DONE"}, {"state": "REJECTED"}])
    broker.join("default", timeout=1)


def test_indexes_may_be_made_by_many_at_once(make_broker: MakeBroker, queue: Queue) -> None:
    brokers = [make_broker() for _ in range(4)]
    for broker in brokers:
        broker.declare_queue("default")
    senders = [threading.Thread(target=broker.enqueue, args=(message(),)) for broker in brokers]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert queue.states() == {"QUEUED": 4}
    assert queue.collection.index_information().keys() == {
        "_id_",
        *(index.document["name"] for index in documents.INDEXES),
    }


def test_finished_messages_expire(broker: MongoBroker, queue: Queue) -> None:
    broker.enqueue(message())
    assert queue.collection.index_information()["expiry"]["expireAfterSeconds"] == 0
