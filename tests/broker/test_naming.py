from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import dramatiq
from pymongo.database import Database

from broker import MongoBroker, State, complete_current, naming, run_in_transaction, transaction
from tests.broker.conftest import StartWorker
from tests.broker.queues import Queue, message
from tests.waiting import eventually


def test_messages_are_found_by_what_they_name_whatever_their_queue_and_state(
    broker: MongoBroker, database: Database[Any]
) -> None:
    for name in ("default", "other"):
        broker.declare_queue(name)
    ready = broker.enqueue(message("note", "A1"))
    later = broker.enqueue(message("note", 1, "A2", queue="other"), delay=60_000)
    done, dead = (broker.enqueue(message("note", "A1", "A2")) for _ in range(2))
    for one, state in ((done, "DONE"), (dead, "REJECTED")):
        database["default"].update_one({"msg.message_id": one.message_id}, {"$set": {"state": state}})
    others = [broker.enqueue(message("note", args)) for args in ("A", "A11", {"A1": "A2"}, ["A1"])]
    found = {one.message_id: one.state for one in naming.list_naming(broker, ["A1", "A2"])}
    assert found == {
        ready.message_id: State.QUEUED,
        later.message_id: State.DELAYED,
        done.message_id: State.DONE,
        dead.message_id: State.REJECTED,
    }
    assert naming.remove(broker, naming.list_naming(broker, ["A1", "A2"])) == 4
    left = {one["msg"]["message_id"] for name in ("default", "other") for one in database[name].find()}
    assert left == {one.message_id for one in others}


def test_messages_are_removed_with_the_transaction_around_it(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message("note", "A1"))
    found = naming.list_naming(broker, ["A1"])
    with suppress(LookupError), transaction(broker.database.client):
        assert naming.remove(broker, found) == 1
        raise LookupError
    assert queue.state(sent) == "QUEUED"
    with transaction(broker.database.client):
        naming.remove(broker, found)
    assert naming.list_naming(broker, ["A1"]) == []


def test_whoever_runs_a_message_that_was_removed_can_settle_nothing(
    broker: MongoBroker, start_worker: StartWorker, database: Database[Any]
) -> None:
    runs, removed, settled = threading.Event(), threading.Event(), threading.Event()

    @dramatiq.actor(broker=broker)
    def pay(order: str) -> None:
        def settle(session: Any) -> None:
            database["orders"].insert_one({"_id": order}, session=session)
            complete_current()

        runs.set()
        assert removed.wait(60)
        try:
            run_in_transaction(broker.database.client, settle)
        finally:
            settled.set()

    database.create_collection("orders")
    start_worker(broker)
    pay.send("A1")
    assert runs.wait(60)
    found = naming.list_naming(broker, ["A1"])
    assert [one.state for one in found] == [State.CONSUMED]
    naming.remove(broker, found)
    removed.set()
    assert settled.wait(60)
    eventually(lambda: not broker.shelves["default"].held())
    assert database["orders"].find_one() is None
    assert naming.list_naming(broker, ["A1"]) == []
