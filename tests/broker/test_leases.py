"""The lease of this process, mostly with its real guardian."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from pymongo import monitoring
from pymongo.database import Database

from broker import MongoBroker
from broker.guardian import SLOT_BYTES
from tests.broker.conftest import MakeBroker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually


@pytest.fixture
def leased(make_broker: MakeBroker, guardians: None) -> MongoBroker:
    return lease(make_broker())


@pytest.fixture
def unguarded(make_broker: MakeBroker) -> MongoBroker:
    return lease(make_broker())


def lease(broker: MongoBroker) -> MongoBroker:
    broker.declare_queue("default")
    broker.open("default")
    return broker


def guardian_of(broker: MongoBroker) -> Any:
    guardian = broker.lease._guardian
    assert guardian
    return guardian


def expires(database: Database[Any], broker: MongoBroker) -> Any:
    worker = database.dramatiq_workers.find_one({"_id": broker.lease.worker_id})
    return worker and worker["expires"]


@pytest.mark.usefixtures("guardians")
def test_lease_is_renewed_by_the_guardian(make_broker: MakeBroker, database: Database[Any]) -> None:
    leased = lease(make_broker(lease_s=2.0))
    first = expires(database, leased)
    eventually(lambda: expires(database, leased) > first)


@pytest.mark.usefixtures("guardians")
def test_lease_is_renewed_after_beats_that_failed(
    make_broker: MakeBroker, database: Database[Any], failing: FailCommand
) -> None:
    leased = lease(make_broker(lease_s=2.0, client=FAULTY))
    first = expires(database, leased)
    with failing("findAndModify", times=4, closeConnection=True):
        eventually(lambda: expires(database, leased) > first)
    assert guardian_of(leased).poll() is None


def test_closed_lease_leaves_no_guardian_and_no_worker(leased: MongoBroker, database: Database[Any]) -> None:
    guardian = guardian_of(leased)
    leased.lease.close()
    assert guardian.returncode == 0
    assert database.dramatiq_workers.find_one() is None


def test_lease_can_be_closed_twice(unguarded: MongoBroker) -> None:
    unguarded.lease.close()
    unguarded.lease.close()


def test_new_lease_has_a_new_id(unguarded: MongoBroker) -> None:
    first = unguarded.lease.worker_id
    unguarded.lease.close()
    unguarded.open("default")
    assert unguarded.lease.worker_id != first


def test_messages_held_at_the_close_are_given_back(leased: MongoBroker, queue: Queue) -> None:
    sent = leased.enqueue(message())
    consumer = leased.consume("default", timeout=20)
    assert eventually(lambda: next(consumer))
    leased.lease.close()
    assert queue.state(sent) == "QUEUED"


def test_guardian_that_was_killed_is_replaced(leased: MongoBroker, database: Database[Any]) -> None:
    before = expires(database, leased)
    guardian = guardian_of(leased)
    os.kill(guardian.pid, signal.SIGKILL)
    guardian.wait()
    assert next(leased.consume("default", timeout=1)) is None
    assert guardian_of(leased).pid != guardian.pid
    eventually(lambda: expires(database, leased) > before)


def test_guardian_outlives_the_signals_of_a_terminal(leased: MongoBroker) -> None:
    guardian = guardian_of(leased)
    # It ignores them from the moment it reads its orders; once it renews, it has.
    eventually(lambda: leased.database.dramatiq_workers.find_one({"running": {"$exists": True}}))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guardian.pid, number)
    leased.lease.close()
    assert guardian.returncode == 0


@pytest.mark.usefixtures("guardians")
def test_clients_listeners_stay_with_the_client(make_broker: MakeBroker, database: Database[Any]) -> None:
    class Listener(monitoring.CommandListener):
        """It cannot be sent to another process."""

        def started(self, event: Any) -> None: ...
        def succeeded(self, event: Any) -> None: ...
        def failed(self, event: Any) -> None: ...

    leased = lease(make_broker(client={"event_listeners": [Listener()]}))
    eventually(lambda: database.dramatiq_workers.find_one({"running": {"$exists": True}}))
    assert guardian_of(leased).poll() is None


def test_each_thread_has_a_slot_of_its_own(unguarded: MongoBroker) -> None:
    barrier, ids = threading.Barrier(8), [uuid4() for _ in range(8)]

    def run(message_id: UUID) -> None:
        barrier.wait()
        unguarded.lease.mark_running(message_id)
        barrier.wait()

    threads = [threading.Thread(target=run, args=(found,)) for found in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unguarded.lease._slots
    raw = unguarded.lease._slots[:]
    assert {UUID(bytes=raw[i : i + 16]) for i in range(0, SLOT_BYTES * 8, SLOT_BYTES)} == set(ids)


def test_what_ran_when_the_worker_was_asked_to_stop_is_excused(leased: MongoBroker, queue: Queue) -> None:
    sent = leased.enqueue(message())
    consumer = leased.consume("default", timeout=20)
    assert eventually(lambda: next(consumer))
    leased.lease.mark_running(UUID(sent.message_id))
    leased.lease.excuse()
    leased.lease.close()
    document = queue.document(sent)
    assert (document["state"], document["crashes"]) == ("QUEUED", 0)
