"""The event log: one numbered line of events per owner, which everything live is read from.

An event is appended in the transaction that makes the change it tells of, and its number is taken there too. So the
numbers have no gaps, nobody sees an event before its change, and "everything after n" is exactly what was missed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from studio.indexes import Index
from studio.reads import Loops, Read
from studio.records import Document, Documents, upsert

KEEP_S = 30 * 24 * 3600
LARGEST_SEQ = 2**63 - 1
_AWAIT_MS = 1000
_INSERTED: list[Document] = [
    {"$match": {"operationType": "insert"}},
    {"$project": {"fullDocument": 1}},
    {"$unset": "fullDocument._id"},
]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    seq: int
    """Its number, counted per owner without gaps."""
    type: str
    """What it tells of."""
    job_id: str
    """The job that it tells of; empty for other things."""
    data: dict[str, Any]
    """What watchers are told, with errors as symbols."""
    at: datetime
    """When it happened."""


class EventCounter(msgspec.Struct, frozen=True, kw_only=True, rename={"owner": "_id"}):
    """The number of an owner's newest event, and the server's time when it was taken."""

    owner: str
    seq: int
    """The number of the newest event."""
    at: datetime
    """When it was taken."""


INDEXES = [
    Index(
        [("owner", ASCENDING), ("seq", ASCENDING)],
        name="log",
        unique=True,
        why="An owner's events after a number. A number is given once.",
    ),
    Index([("job_id", ASCENDING), ("seq", ASCENDING)], name="job", why="A job's events after a number."),
    Index([("at", ASCENDING)], name="expiry", expireAfterSeconds=KEEP_S, why="Nobody asks for older ones."),
]


class Events:
    def __init__(self, collection: Documents, counters: Documents, loops: Loops) -> None:
        # What watchers were told must not be undone by a failover, and its number not be given to another event.
        self._collection = collection.with_options(read_concern=ReadConcern("majority"))
        self._counters = counters.with_options(read_concern=ReadConcern("majority"))
        self._loops = loops

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
        self._collection.insert_one({**event, "at": counter.at}, session=session)

    def newest(self, owner: str) -> Read[int]:
        """The number of an owner's newest event; 0 when there was none."""
        return Read(self._counters, self._loops, {"_id": owner}, _number, limit=-1)

    def newest_of(self, owners: list[str]) -> Read[dict[str, int]]:
        """The same for several owners; those without an event are left out."""
        return Read(self._counters, self._loops, {"_id": {"$in": owners}}, _numbers)

    def list_after(self, owner: str, after: int, *, up_to: int = LARGEST_SEQ, limit: int) -> Read[list[Event]]:
        """The first events of an owner that follow number `after`, in order."""
        return self._list({"owner": owner, "seq": {"$gt": after, "$lte": up_to}}, limit=limit)

    def list_of_job(self, job_id: str, *, after: int, up_to: int = LARGEST_SEQ) -> Read[list[Event]]:
        """The events of one job that follow number `after`, in order."""
        return self._list({"job_id": job_id, "seq": {"$gt": after, "$lte": up_to}})

    def _list(self, query: Document, *, limit: int = 0) -> Read[list[Event]]:
        return Read(
            self._collection, self._loops, query, _events, sort=[("seq", ASCENDING)], limit=limit, fields={"_id": 0}
        )

    async def stream(self) -> AsyncCollectionChangeStream[Document]:
        """The events that are committed from now on, for the running event loop; `fullDocument` is one event."""
        collection = self._loops.collection(self._collection)
        return await collection.watch(_INSERTED, max_await_time_ms=_AWAIT_MS)


def read_event(document: Document) -> Event:
    """The event in a document of the stream."""
    return msgspec.convert(document, Event)


def _events(documents: list[Document]) -> list[Event]:
    return msgspec.convert(documents, list[Event])


def _number(counters: list[Document]) -> int:
    return max(_numbers(counters).values(), default=0)


def _numbers(counters: list[Document]) -> dict[str, int]:
    return {counter.owner: counter.seq for counter in msgspec.convert(counters, list[EventCounter])}
