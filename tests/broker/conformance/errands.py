"""The actors of `dramatiq` commands under test: each run is a document in `runs`."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from bson import Timestamp
from pymongo import MongoClient

from broker import MongoBroker
from tests.waiting import eventually

client: MongoClient[Any] = MongoClient(os.environ["TEST_MONGODB_URI"])
database = client[os.environ["TEST_DATABASE"]]
broker = MongoBroker(database=database)
dramatiq.set_broker(broker)


def record(name: str, *, version: int = 0) -> None:
    # An empty timestamp is filled in by the server, and orders the runs.
    run = {"at": Timestamp(0, 0), "name": name, "version": version, "pid": os.getpid(), "parent": os.getppid()}
    database.runs.insert_one(run)


@dramatiq.actor
def note(name: str) -> None:
    record(name)


@dramatiq.actor(queue_name="other")
def note_elsewhere(name: str) -> None:
    record(name)


@dramatiq.actor
def hold(name: str) -> None:
    """Run until somebody opens the gate of that name."""
    record(name)
    eventually(lambda: database.gates.find_one({"_id": name}))
    record(f"{name} ended")


def set_up() -> None:
    """What the command line may call instead of naming a broker."""
    dramatiq.set_broker(broker)
