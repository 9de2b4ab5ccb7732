"""Exports: archives of everything that is kept of a client, made on request and kept for a week.

    preparing -> ready | failed

A failed one is kept as long, for whoever comes back to see what became of it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pymongo import ASCENDING, DESCENDING
from pymongo.client_session import ClientSession

from studio.indexes import Index
from studio.keys import export_key
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, from_document, new_id, upsert

KEEP_DAYS = 7
DAY_MS = 24 * 3600 * 1000


class ExportStatus(StrEnum):
    PREPARING = "preparing"
    READY = "ready"
    """There to be fetched, until `expires_at`."""
    FAILED = "failed"


class Export(Record, frozen=True, kw_only=True):
    owner: str
    status: ExportStatus
    size: int | None = None
    """Bytes of the archive."""
    sha256: str | None = None
    """Of the archive, in hexadecimal digits."""
    expires_at: datetime | None = None
    """When a finished one, or the word that it failed, is removed."""

    @property
    def key(self) -> str:
        return export_key(self.owner, self.id)


INDEXES = [
    Index([("owner", ASCENDING), ("created_at", DESCENDING)], name="owner", why="A client's exports, newest first."),
    Index(
        [("owner", ASCENDING)],
        name="preparing",
        unique=True,
        partialFilterExpression={"status": ExportStatus.PREPARING},
        why="One at a time: whoever asks twice waits for the first.",
    ),
    Index([("expires_at", ASCENDING)], name="expires", why="Those that are too old, for the clean-up."),
]


class Exports:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Export)

    def load(self, export_id: str) -> Read[Export | None]:
        """An export whoever owns it; for actors only."""
        return self._reads.one({"_id": export_id})

    def get_newest(self, owner: str) -> Read[Export | None]:
        return self._reads.one({"owner": owner}, sort=[("created_at", DESCENDING)])

    def list_before(self, export: Export) -> Read[list[Export]]:
        """The owner's older ones."""
        return self._reads.many({"owner": export.owner, "created_at": {"$lt": export.created_at}})

    def list_expired(self, now: datetime, *, limit: int) -> Read[list[Export]]:
        return self._reads.many({"expires_at": {"$lt": now}}, limit=limit)

    def known_among(self, export_ids: set[str]) -> set[str]:
        """Which of these exports there are."""
        found = self._collection.find({"_id": {"$in": list(export_ids)}}, {"_id": 1})
        return {document["_id"] for document in found}

    def open(self, owner: str, *, session: ClientSession) -> Export:
        """The owner's export that is being prepared, or a new one."""
        fields: Document = {"_id": new_id()}
        times = {"created_at": "$$NOW", "updated_at": "$$NOW"}
        document = upsert(
            self._collection,
            {"owner": owner, "status": ExportStatus.PREPARING},
            [{"$replaceWith": {"$mergeObjects": [{"$literal": fields}, times, "$$ROOT"]}}],
            session=session,
        )
        return from_document(document, Export)

    def mark_ready(self, export: Export, *, size: int, sha256: str) -> bool:
        """False when it is not wanted any more: its owner was erased, or it was given up."""
        return self._finish(export, {"status": ExportStatus.READY, "size": size, "sha256": sha256})

    def mark_failed(self, export: Export) -> bool:
        return self._finish(export, {"status": ExportStatus.FAILED})

    def fail_before(self, moment: datetime) -> None:
        """Give up those that were asked for before a moment and never became ready."""
        late = {"status": ExportStatus.PREPARING, "created_at": {"$lt": moment}}
        self._collection.update_many(late, _finished({"status": ExportStatus.FAILED}))

    def delete(self, export: Export) -> None:
        self._collection.delete_one({"_id": export.id})

    def _finish(self, export: Export, fields: Document) -> bool:
        preparing = {"_id": export.id, "status": ExportStatus.PREPARING}
        return self._collection.update_one(preparing, _finished(fields)).matched_count > 0


def _finished(fields: Document) -> list[Document]:
    times = {"updated_at": "$$NOW", "expires_at": {"$add": ["$$NOW", KEEP_DAYS * DAY_MS]}}
    return [{"$set": {**fields, **times}}]
