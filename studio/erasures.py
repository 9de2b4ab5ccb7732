"""Receipts of erasures: how far one is, and how much it has removed.

    erasing -> erased

A receipt names the owner only while something may be left of him. Afterwards it holds counts and times, and is all
that tells that he was ever here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from pymongo import ASCENDING
from pymongo.client_session import ClientSession

from studio.indexes import Index
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, change, from_document, new_id, upsert

KEEP_YEARS = 3


class ErasureStatus(StrEnum):
    ERASING = "erasing"
    ERASED = "erased"
    """Everything was looked for once more, and nothing was found."""


class Batch(msgspec.Struct, frozen=True):
    """Objects that are about to be removed. They are noted before the first goes and counted after the last has gone,
    so the count is right whatever dies in between."""

    id: str
    """By which it is counted once."""
    keys: list[str]
    """Of the objects."""
    bytes: int
    """Of all of them."""


class Erasure(Record, frozen=True, kw_only=True):
    """`id` is the receipt's: it cannot be guessed, and opens nothing but this record."""

    status: ErasureStatus
    owner: str | None = None
    """None once he is erased."""
    documents: dict[str, int]
    """Removed so far, by collection."""
    objects: int
    """Removed so far."""
    bytes: int
    """Of the objects."""
    messages: int
    """Removed so far from the queues."""
    batch: Batch | None = None
    """What is being removed."""
    finished_at: datetime | None = None
    """When nothing was left."""


INDEXES = [
    Index(
        [("owner", ASCENDING)],
        name="owner",
        unique=True,
        sparse=True,
        why="Whoever asks twice watches the first one's receipt.",
    ),
    Index(
        [("finished_at", ASCENDING)],
        name="expiry",
        expireAfterSeconds=KEEP_YEARS * 365 * 24 * 3600,
        why="A receipt is proof for so long.",
    ),
]


class Erasures:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Erasure)

    def get(self, receipt_id: str) -> Read[Erasure | None]:
        return self._reads.one({"_id": receipt_id})

    def list_open(self, *, limit: int) -> Read[list[Erasure]]:
        """Those that are not finished."""
        return self._reads.many({"owner": {"$exists": True}}, limit=limit)

    def open(self, owner: str, *, session: ClientSession) -> Erasure:
        """The erasure of an owner that is under way, or a new one."""
        fields: Document = {
            "_id": new_id(),
            "status": ErasureStatus.ERASING,
            "documents": {},
            "objects": 0,
            "bytes": 0,
            "messages": 0,
        }
        times = {"created_at": "$$NOW", "updated_at": "$$NOW"}
        document = upsert(
            self._collection,
            {"owner": owner},
            [{"$replaceWith": {"$mergeObjects": [{"$literal": fields}, times, "$$ROOT"]}}],
            session=session,
        )
        return from_document(document, Erasure)

    def open_batch(self, erasure: Erasure, sizes: dict[str, int]) -> Batch | None:
        """Note which objects are about to be removed, by key.

        None when another run has noted or removed something since the erasure was read: they may be gone and counted.
        """
        batch = Batch(new_id(), list(sizes), sum(sizes.values()))
        result = self._collection.update_one(
            {"_id": erasure.id, "status": ErasureStatus.ERASING, "batch": None, "objects": erasure.objects},
            change({"batch": msgspec.to_builtins(batch)}),
        )
        return batch if result.matched_count else None

    def close_batch(self, erasure: Erasure, batch: Batch) -> None:
        """Count what was removed, once."""
        self._collection.update_one(
            {"_id": erasure.id, "batch.id": batch.id},
            change({"batch": None}, **{"$inc": {"objects": len(batch.keys), "bytes": batch.bytes}}),
        )

    def count(self, erasure: Erasure, *, documents: dict[str, int], messages: int, session: ClientSession) -> None:
        """Add to the counts, in the transaction that removes what is counted."""
        counts = {f"documents.{name}": number for name, number in documents.items()}
        self._collection.update_one(
            {"_id": erasure.id},
            {"$inc": {**counts, "messages": messages}, "$currentDate": {"updated_at": True}},
            session=session,
        )

    def finish(self, erasure: Erasure) -> bool:
        """Say that it is done, and forget whose it was. False while another run is removing something."""
        result = self._collection.update_one(
            {"_id": erasure.id, "status": ErasureStatus.ERASING, "batch": None},
            {
                "$set": {"status": ErasureStatus.ERASED},
                "$unset": {"owner": "", "batch": ""},
                "$currentDate": {"updated_at": True, "finished_at": True},
            },
        )
        return result.matched_count == 1
