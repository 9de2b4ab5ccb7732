"""A worker without work, which notes in MongoDB that it stopped: it can do so only while mongod runs."""

import os
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker
from pymongo import MongoClient


class NoteStop(dramatiq.Middleware):
    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        with MongoClient[dict[str, Any]](os.environ["MONGODB_URI"]) as client:
            client.notes.stops.insert_one({"pid": os.getppid()})


dramatiq.set_broker(StubBroker(middleware=[NoteStop()]))


@dramatiq.actor
def nothing() -> None:
    """Gives the worker a queue to read."""
