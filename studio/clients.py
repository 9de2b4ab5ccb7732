"""The clients that were seen: an owner id, and nothing that tells who it is."""

from __future__ import annotations

from datetime import datetime

from pymongo import ASCENDING, IndexModel

from studio.reads import Loops, Read, Reads
from studio.records import Documents, Record, from_document, upsert


class Client(Record, frozen=True, kw_only=True):
    """`id` is the owner id; the client id itself is stored nowhere."""

    last_seen_at: datetime


INDEXES = [IndexModel([("last_seen_at", ASCENDING)], name="last_seen")]


class Clients:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._loops = loops
        self._reads = Reads(collection, loops, Client)

    def list_inactive(self, *, months: int, limit: int) -> Read[list[Client]]:
        """Those who were not here for so long."""
        since = {"$dateSubtract": {"startDate": "$$NOW", "unit": "month", "amount": months}}
        return self._reads.many({"$expr": {"$lt": ["$last_seen_at", since]}}, limit=limit)

    async def note(self, owner: str, *, is_new: bool) -> None:
        """Note that a client is here. One that is not known is made known if `is_new`."""
        first = {"$ifNull": ["$created_at", "$$NOW"]}
        await self._loops.database[self._collection.name].update_one(
            {"_id": owner},
            [{"$set": {"created_at": first, "updated_at": "$$NOW", "last_seen_at": "$$NOW"}}],
            upsert=is_new,
        )

    def register(self, owner: str) -> Client:
        """Note that a client is there; the first time makes its document."""
        first = {"$ifNull": ["$created_at", "$$NOW"]}
        document = upsert(
            self._collection,
            {"_id": owner},
            [{"$set": {"created_at": first, "updated_at": "$$NOW", "last_seen_at": "$$NOW"}}],
        )
        return from_document(document, Client)
