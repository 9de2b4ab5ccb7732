"""Uploads that were announced and are not committed yet: what a presigned door was opened for."""

from __future__ import annotations

from pymongo import ASCENDING
from pymongo.client_session import ClientSession

from studio.indexes import Index
from studio.media_assets import Kind
from studio.reads import Loops, Read, Reads
from studio.records import Documents, Record, from_document, insert


class AnnouncedUpload(Record, frozen=True, kw_only=True):
    """The commit removes it. One that stays tells of bytes that nobody asked for any more."""

    owner: str
    artwork_id: str
    kind: Kind
    """What it is to be."""
    key: str
    """Where the bytes wait."""
    mime: str
    """As announced."""
    size: int
    """Bytes, as announced; the store takes no other number."""


INDEXES = [
    Index([("created_at", ASCENDING)], name="age", why="The oldest first, for the clean-up."),
    Index([("owner", ASCENDING)], name="owner", why="A client's uploads."),
]


class AnnouncedUploads:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, AnnouncedUpload)

    def add(
        self, upload_id: str, owner: str, *, artwork_id: str, kind: Kind, key: str, mime: str, size: int
    ) -> AnnouncedUpload:
        fields = {
            "_id": upload_id,
            "owner": owner,
            "artwork_id": artwork_id,
            "kind": kind,
            "key": key,
            "mime": mime,
            "size": size,
        }
        return from_document(insert(self._collection, fields), AnnouncedUpload)

    def get(self, owner: str, upload_id: str, key: str) -> Read[AnnouncedUpload | None]:
        return self._reads.one({"_id": upload_id, "owner": owner, "key": key})

    def list_older(self, age_s: float, *, limit: int) -> Read[list[AnnouncedUpload]]:
        """Those announced longer ago than this, the oldest first."""
        is_old = {"$lt": ["$created_at", {"$subtract": ["$$NOW", int(1000 * age_s)]}]}
        return self._reads.many({"$expr": is_old}, sort=[("created_at", 1)], limit=limit)

    def known_among(self, upload_ids: set[str]) -> set[str]:
        """Which of these uploads are still to come."""
        found = self._collection.find({"_id": {"$in": list(upload_ids)}}, {"_id": 1})
        return {document["_id"] for document in found}

    def remove(self, upload_id: str, *, session: ClientSession | None = None) -> bool:
        """Whether it was there: of two that remove one, one is told so."""
        return self._collection.delete_one({"_id": upload_id}, session=session).deleted_count == 1
