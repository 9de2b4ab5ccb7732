"""The actors of worker processes under test: `dramatiq tests.broker.actors`.

Each run is a document in `runs`; `hold` waits for its name in `gates`.
"""

from __future__ import annotations

import math
import os
import re
import signal
import time
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
    """Keep the interpreter to itself in one native call that lasts for at least so many seconds."""
    record(name, "run")
    hard_words, took_s = 1, 0.0
    while took_s < seconds:
        began = time.monotonic()
        # Each of these words is looked at in half a million ways, in vain.
        re.search("(a+)+$", ("a" * 18 + "b") * hard_words)
        took_s = time.monotonic() - began
        hard_words = math.ceil(1.3 * hard_words * seconds / took_s)
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
