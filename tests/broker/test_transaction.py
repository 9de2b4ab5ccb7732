from __future__ import annotations

import threading
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import InvalidOperation, OperationFailure

from broker import MongoBroker, current_session, run_in_transaction, transaction
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message


class Change(Exception):
    """Somebody changes their mind."""


def test_message_is_there_once_the_transaction_committed(broker: MongoBroker, queue: Queue) -> None:
    sent = message()
    with transaction(broker.database.client):
        broker.enqueue(sent)
        assert queue.state(sent) == "none"
    assert queue.state(sent) == "QUEUED"


def test_delayed_message_is_there_once_the_transaction_committed(broker: MongoBroker, queue: Queue) -> None:
    sent = message()
    with transaction(broker.database.client):
        broker.enqueue(sent, delay=60_000)
        assert queue.state(sent) == "none"
    assert queue.state(sent) == "DELAYED"


def test_message_is_rolled_back_with_the_work(broker: MongoBroker, queue: Queue, database: Database[Any]) -> None:
    def order(session: ClientSession) -> None:
        _buy(broker, session)
        raise Change

    with pytest.raises(Change):
        run_in_transaction(broker.database.client, order)
    assert queue.states() == {}
    assert database.orders.find_one() is None


def test_first_message_ever_can_be_sent_in_a_transaction(
    broker: MongoBroker, queue: Queue, database: Database[Any]
) -> None:
    assert "default" not in database.list_collection_names()
    sent = message()
    with transaction(broker.database.client) as session:
        broker.database.orders.insert_one({"_id": 1}, session=session)
        broker.enqueue(sent)
    assert queue.state(sent) == "QUEUED"


def test_live_message_sent_again_in_a_transaction_is_left_as_it_is(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message())
    before = queue.document(sent)
    with transaction(broker.database.client) as session:
        broker.enqueue(sent)
        broker.database.orders.insert_one({"_id": 1}, session=session)
    assert queue.document(sent) == before


def test_finished_message_sent_again_in_a_transaction_runs_again(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message())
    queue.collection.update_one({}, {"$set": {"state": "DONE"}})
    with transaction(broker.database.client):
        broker.enqueue(sent)
    assert queue.state(sent) == "QUEUED"


def test_nested_transaction_is_refused(broker: MongoBroker) -> None:
    with transaction(broker.database.client), pytest.raises(RuntimeError, match="no nested"):
        transaction(broker.database.client).__enter__()


def test_session_is_gone_after_the_transaction(broker: MongoBroker) -> None:
    with transaction(broker.database.client) as session:
        assert current_session() is session
    assert current_session() is None


def test_write_conflict_surfaces_from_a_plain_transaction(broker: MongoBroker, database: Database[Any]) -> None:
    database.accounts.insert_one({"_id": 1, "sum": 0})

    def lose() -> None:
        with transaction(broker.database.client) as session:
            broker.database.accounts.find_one({"_id": 1}, session=session)
            database.accounts.update_one({"_id": 1}, {"$inc": {"sum": 1}})
            broker.database.accounts.update_one({"_id": 1}, {"$inc": {"sum": 1}}, session=session)

    with pytest.raises(OperationFailure) as conflict:
        lose()
    assert conflict.value.has_error_label("TransientTransactionError")


def test_write_conflict_is_retried_until_both_rivals_have_committed(
    broker: MongoBroker, database: Database[Any], queue: Queue
) -> None:
    database.accounts.insert_one({"_id": 1, "sum": 0})
    both_have_read = threading.Barrier(2)
    tries: list[int] = []

    def pay(session: ClientSession) -> None:
        tries.append(1)
        account = broker.database.accounts.find_one({"_id": 1}, session=session)
        if len(tries) <= 2:
            both_have_read.wait()
        assert account
        broker.database.accounts.update_one({"_id": 1}, {"$set": {"sum": account["sum"] + 1}}, session=session)
        broker.enqueue(message("note", "paid"))

    rivals = [threading.Thread(target=run_in_transaction, args=(broker.database.client, pay)) for _ in range(2)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert database.accounts.find_one() == {"_id": 1, "sum": 2}
    assert queue.states() == {"QUEUED": 2}
    assert len(tries) > 2


def test_errors_of_the_work_are_not_retried(broker: MongoBroker) -> None:
    tries: list[int] = []

    def work(session: ClientSession) -> None:
        tries.append(1)
        raise Change

    with pytest.raises(Change):
        run_in_transaction(broker.database.client, work)
    assert len(tries) == 1


@pytest.mark.parametrize(
    "how",
    [
        {"writeConcernError": {"code": 91, "errmsg": "replication is being shut down"}},
        {"closeConnection": True},
        {"writeConcernError": {"code": 11601, "errmsg": "operation was interrupted"}},
        {"errorCode": 11601},
    ],
    ids=["unknown result", "lost connection", "cut short when done", "cut short"],
)
def test_commit_without_an_answer_commits_exactly_once(
    make_broker: MakeBroker, queue: Queue, database: Database[Any], failing: FailCommand, how: dict[str, Any]
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    broker.enqueue(message())
    with failing("commitTransaction", times=4, **how):
        run_in_transaction(broker.database.client, lambda session: _buy(broker, session))
    assert queue.states() == {"QUEUED": 2}
    assert database.orders.count_documents({}) == 1


def _buy(broker: MongoBroker, session: ClientSession) -> None:
    broker.database.orders.insert_one({}, session=session)
    broker.enqueue(message())


def test_client_that_reads_from_secondaries_can_open_a_transaction(make_broker: MakeBroker, queue: Queue) -> None:
    broker = make_broker(client={"readPreference": "secondaryPreferred"})
    broker.declare_queue("default")
    with transaction(broker.database.client):
        sent = broker.enqueue(message())
        broker.enqueue(sent)
    assert queue.state(sent) == "QUEUED"


def test_another_client_may_not_be_mixed_in(broker: MongoBroker, mongo: MongoClient[Any], queue: Queue) -> None:
    with pytest.raises(InvalidOperation), transaction(mongo):
        broker.enqueue(message())
    assert queue.states() == {}
