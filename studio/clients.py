"""The clients that were seen: an owner id, and nothing that tells who it is."""

from __future__ import annotations

from datetime import datetime

from studio.records import Documents, Record, from_document, upsert


class Client(Record, frozen=True, kw_only=True):
    """`id` is the owner id; the client id itself is stored nowhere."""

    last_seen_at: datetime


class Clients:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def register(self, owner: str) -> Client:
        """Note that a client is there; the first time makes its document."""
        first = {"$ifNull": ["$created_at", "$$NOW"]}
        document = upsert(
            self._collection,
            {"_id": owner},
            [{"$set": {"created_at": first, "updated_at": "$$NOW", "last_seen_at": "$$NOW"}}],
        )
        return from_document(document, Client)
