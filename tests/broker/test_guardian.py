"""The guardian's rounds, run in this process on hand-made workers and messages."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pymongo.database import Database

from app.stack import Servers
from broker import guardian
from broker.guardian import SHARED_BYTES, Guardian
from tests.broker.conftest import MakeBroker
from tests.broker.queues import Queue, message


@pytest.fixture
def slots() -> Iterator[Any]:
    with tempfile.TemporaryFile() as shared:
        shared.truncate(SHARED_BYTES)
        yield shared


@pytest.fixture
def watcher(servers: Servers, database: Database[Any], slots: Any, make_broker: MakeBroker) -> Iterator[Guardian]:
    """The guardian of a worker "own", which reads the queue "default"."""
    make_broker().declare_queue("default")
    made = Guardian(
        {
            "worker_id": "own",
            "parent_pid": os.getpid(),
            "collections": ["default"],
            "database": database.name,
            "workers": "workers",
            "lease_s": 60.0,
            "max_crashes": 3,
            "dead_ttl_ms": 60_000,
            "shared_fd": slots.fileno(),
            "client": {"host": servers.mongodb_uri},
        }
    )
    made.rescue_from = made.orphans_from = 0.0
    yield made
    made.database.client.close()
    made.shared.close()


def hold(queue: Queue, worker: str, *, crashes: int = 0) -> Any:
    """A message that a worker holds."""
    held = message()
    queue.collection.insert_one(
        {
            "_id": UUID(held.message_id),
            "msg": held.asdict(),
            "state": "CONSUMED",
            "crashes": crashes,
            "lease": {"worker": worker, "token": uuid4()},
        }
    )
    return held


def add_worker(database: Database[Any], name: str, *, seconds_left: float, running: list[Any] | None = None) -> None:
    database.workers.insert_one(
        {
            "_id": name,
            "expires": datetime.now(UTC) + timedelta(seconds=seconds_left),
            "collections": ["default"],
            "running": [UUID(found.message_id) for found in running or []],
        }
    )


def test_expired_worker_loses_its_messages(watcher: Guardian, queue: Queue, database: Database[Any]) -> None:
    held = hold(queue, "dead")
    add_worker(database, "dead", seconds_left=-1)
    watcher._beat()
    document = queue.document(held)
    assert (document["state"], document["crashes"]) == ("QUEUED", 0)
    assert "lease" not in document
    assert database.workers.distinct("_id") == ["own"]


def test_living_worker_keeps_its_messages(watcher: Guardian, queue: Queue, database: Database[Any]) -> None:
    held = hold(queue, "alive")
    add_worker(database, "alive", seconds_left=60)
    watcher._beat()
    assert queue.state(held) == "CONSUMED"


def test_only_what_ran_is_charged(watcher: Guardian, queue: Queue, database: Database[Any]) -> None:
    ran, waited = hold(queue, "dead"), hold(queue, "dead")
    add_worker(database, "dead", seconds_left=-1, running=[ran])
    watcher._beat()
    assert [queue.document(found)["crashes"] for found in (ran, waited)] == [1, 0]


def test_third_crash_makes_a_dead_letter(watcher: Guardian, queue: Queue, database: Database[Any]) -> None:
    ran = hold(queue, "dead", crashes=2)
    add_worker(database, "dead", seconds_left=-1, running=[ran])
    watcher._beat()
    document = queue.document(ran)
    assert (document["state"], document["crashes"]) == ("REJECTED", 3)
    assert "died" in document["reason"]
    assert "expire_at" in document


def test_claim_that_arrived_after_its_workers_end_is_undone(watcher: Guardian, queue: Queue) -> None:
    held = hold(queue, "gone")
    watcher._beat()
    assert queue.state(held) == "QUEUED"


def test_own_messages_are_left_alone(watcher: Guardian, queue: Queue) -> None:
    held = hold(queue, "own")
    watcher._beat()
    assert queue.state(held) == "CONSUMED"


def test_renewal_tells_what_runs(watcher: Guardian, database: Database[Any], slots: Any) -> None:
    running = uuid4()
    os.pwrite(slots.fileno(), running.bytes, 32)
    watcher._beat()
    worker = database.workers.find_one({"_id": "own"})
    assert worker
    assert worker["running"] == [running]
    assert worker["collections"] == ["default"]


def test_queues_are_remembered_when_a_rescuer_has_deleted_the_worker(
    watcher: Guardian, database: Database[Any]
) -> None:
    database.workers.insert_one({"_id": "own", "collections": ["later"]})
    watcher._beat()
    database.workers.delete_one({"_id": "own"})
    watcher._beat()
    worker = database.workers.find_one({"_id": "own"})
    assert worker
    assert worker["collections"] == ["default", "later"]


def test_nobody_is_rescued_right_after_an_outage(
    watcher: Guardian, queue: Queue, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(queue, "silenced")
    add_worker(database, "silenced", seconds_left=-1)
    watcher.last_beat = time.monotonic() - watcher.lease_s
    watcher._beat()
    assert queue.state(held) == "CONSUMED"
    watcher.rescue_from = 0.0
    watcher._beat()
    assert queue.state(held) == "QUEUED"


def test_suspended_worker_is_not_renewed(
    watcher: Guardian, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "is_suspended", lambda _pid: True)
    watcher._beat()
    assert database.workers.find_one({"_id": "own"}) is None


def test_end_of_the_lease_gives_everything_back_even_without_a_document(
    watcher: Guardian, queue: Queue, database: Database[Any], slots: Any
) -> None:
    ran, waited = hold(queue, "own"), hold(queue, "own")
    os.pwrite(slots.fileno(), UUID(ran.message_id).bytes, 0)
    watcher._end_lease()
    assert queue.states() == {"QUEUED": 2}
    assert [queue.document(found)["crashes"] for found in (ran, waited)] == [1, 0]
    assert database.workers.find_one() is None


def test_rescue_is_done_once_however_many_do_it(watcher: Guardian, queue: Queue, database: Database[Any]) -> None:
    ran = hold(queue, "dead")
    add_worker(database, "dead", seconds_left=-1, running=[ran])
    watcher._beat()
    add_worker(database, "dead", seconds_left=-1, running=[ran])
    watcher._beat()
    assert queue.document(ran)["crashes"] == 1


def test_orphans_are_looked_for_by_index(watcher: Guardian, make_broker: MakeBroker, queue: Queue) -> None:
    broker = make_broker()
    broker.declare_queue("default")
    broker.enqueue(message())
    plan = broker.database.command(
        "explain",
        {
            "distinct": "default",
            "key": "lease.worker",
            "query": {"state": "CONSUMED", "lease.worker": {"$gt": ""}},
        },
        verbosity="queryPlanner",
    )
    assert "COLLSCAN" not in str(plan)
