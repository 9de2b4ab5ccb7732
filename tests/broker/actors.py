"""The actors of worker processes under test: `dramatiq tests.broker.actors`.

Each run is a document in `runs`; `hold` waits for its name in `gates`.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

import dramatiq
from bson import Timestamp
from pymongo import MongoClient

from broker import LeaseLost, MongoBroker, complete_current, transaction
from tests.waiting import eventually

client: MongoClient[Any] = MongoClient(os.environ["TEST_MONGODB_URI"])
database = client[os.environ["TEST_DATABASE"]]
broker = MongoBroker(database=database, lease_s=float(os.environ["TEST_LEASE_S"]))
dramatiq.set_broker(broker)


def record(name: str, event: str) -> None:
    database.runs.insert_one({"at": Timestamp(0, 0), "name": name, "event": event, "pid": os.getpid()})


@dramatiq.actor
def note(name: str) -> None:
    record(name, "run")


@dramatiq.actor
def hold(name: str) -> None:
    record(name, "run")
    eventually(lambda: database.gates.find_one({"_id": name}))
    record(name, "end")


@dramatiq.actor
def hold_and_complete(name: str) -> None:
    record(name, "run")
    eventually(lambda: database.gates.find_one({"_id": name}))
    try:
        with transaction(client) as session:
            database.completions.insert_one({"name": name}, session=session)
            complete_current()
    except LeaseLost:
        record(name, "refused")
        raise


@dramatiq.actor
def hog(name: str, seconds: float) -> None:
    """Keep the interpreter to itself in one native call that lasts for so many seconds."""
    record(name, "run")
    # Called as a part of the interpreter is, and so without letting go of its lock.
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    record(name, "end")


@dramatiq.actor
def die(name: str) -> None:
    record(name, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@dramatiq.actor
def try_later(name: str, delay_ms: int) -> None:
    """Ask for a retry at the first run."""
    record(name, "run")
    if database.runs.count_documents({"name": name}) == 1:
        raise dramatiq.Retry("later", delay=delay_ms)
