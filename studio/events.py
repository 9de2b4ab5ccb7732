"""The event log: one numbered line of events per owner, which everything live is read from.

An event is appended in the transaction that makes the change it tells of, and its number is taken there too. So the
numbers have no gaps, nobody sees an event before its change, and "everything after n" is exactly what was missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession

from studio.records import Documents, upsert

KEEP_S = 30 * 24 * 3600


class Event(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    seq: int
    type: str
    job_id: str
    data: dict[str, Any]
    at: datetime


class EventCounter(msgspec.Struct, frozen=True, kw_only=True, rename={"owner": "_id"}):
    """The number of an owner's newest event, and the server's time when it was taken."""

    owner: str
    seq: int
    at: datetime


INDEXES = [
    IndexModel([("owner", ASCENDING), ("seq", ASCENDING)], name="log", unique=True),
    IndexModel([("job_id", ASCENDING), ("seq", ASCENDING)], name="job"),
    IndexModel([("at", ASCENDING)], name="expiry", expireAfterSeconds=KEEP_S),
]


class Events:
    def __init__(self, collection: Documents, counters: Documents) -> None:
        self.collection = collection
        self._counters = counters

    def append(self, owner: str, kind: str, *, job_id: str, data: dict[str, Any], session: ClientSession) -> None:
        """Add an event. Best as the last write of a transaction: until its commit, the owner's counter is held."""
        document = upsert(
            self._counters,
            {"_id": owner},
            [{"$set": {"seq": {"$add": [{"$ifNull": ["$seq", 0]}, 1]}, "at": "$$NOW"}}],
            session=session,
        )
        counter = msgspec.convert(document, EventCounter)
        event = {"owner": owner, "seq": counter.seq, "type": kind, "job_id": job_id, "data": data}
        self.collection.insert_one({**event, "at": counter.at}, session=session)

    def list_of_job(self, job_id: str, *, after: int) -> Iterator[Event]:
        """The events of one job that follow number `after`, in order."""
        for document in self.collection.find({"job_id": job_id, "seq": {"$gt": after}}).sort("seq", 1):
            yield msgspec.convert({**document, "_id": None}, Event)
