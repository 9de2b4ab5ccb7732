"""The clients that were seen: an owner id, and nothing that tells who it is."""

from __future__ import annotations

from datetime import datetime

from pymongo import ASCENDING

from studio.indexes import Index
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, from_document, upsert


class Client(Record, frozen=True, kw_only=True):
    """`id` is the owner id; the client id itself is stored nowhere."""

    last_seen_at: datetime
    """When it was last here, noted about once a day."""


_FIRST = {"$ifNull": ["$created_at", "$$NOW"]}
_SEEN: list[Document] = [{"$set": {"created_at": _FIRST, "updated_at": "$$NOW", "last_seen_at": "$$NOW"}}]
INDEXES = [Index([("last_seen_at", ASCENDING)], name="last_seen", why="Clients who have stayed away, for retention.")]


class Clients:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._loops = loops
        self._reads = Reads(collection, loops, Client)

    def list_inactive(self, *, months: int, limit: int) -> Read[list[Client]]:
        """Those who were not here for so long."""
        since = {"$dateSubtract": {"startDate": "$$NOW", "unit": "month", "amount": months}}
        return self._reads.many({"$expr": {"$lt": ["$last_seen_at", since]}}, limit=limit)

    async def note(self, owner: str, *, is_new: bool) -> bool:
        """Note that a client is here, and make one known that is not if `is_new`. Whether it is known now."""
        clients = self._loops.database[self._collection.name]
        result = await clients.update_one({"_id": owner}, _SEEN, upsert=is_new)
        return result.matched_count > 0 or result.upserted_id is not None

    def register(self, owner: str) -> Client:
        """Note that a client is there; the first time makes its document."""
        return from_document(upsert(self._collection, {"_id": owner}, _SEEN), Client)
