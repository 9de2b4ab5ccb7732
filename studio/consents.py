"""What a client has agreed to: one document each, with every decision in it as it was made.

A consent is a record, not a switch: nothing here turns a part of the product off.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, from_document, upsert

LONGEST_HISTORY = 1_000
"""Decisions. Nobody changes his mind that often, but a script may, and a document has an end."""


class Purpose(StrEnum):
    VOICE_RECORDING = "voice_recording"
    """Keeping the recording of a child's voice."""
    AI_PROVIDERS = "ai_providers"
    """Sending drawing, voice and story to the services that this deployment has chosen."""
    REPORTS = "reports"
    """Looking back over many works to describe how a child draws and tells."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    purpose: Purpose
    given: bool
    """False when it was refused or withdrawn."""
    notice_version: str
    """The privacy notice that was on the screen."""
    at: datetime
    """When it was made."""


class Consents(Record, frozen=True, kw_only=True):
    """`id` is the owner's."""

    history: list[Decision]
    """The oldest first."""
    current: dict[Purpose, Decision]
    """The newest of each purpose that was decided about."""


class ConsentRecords:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Consents)

    def get(self, owner: str) -> Read[Consents | None]:
        """None before the first decision."""
        return self._reads.one({"_id": owner})

    def decide(self, owner: str, decisions: Mapping[Purpose, bool], *, notice_version: str) -> Consents:
        """Add decisions to the record. One that was made before, on the same notice, is not made again."""
        first = {
            "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
            "history": {"$ifNull": ["$history", []]},
            "current": {"$ifNull": ["$current", {}]},
            "updated_at": "$$NOW",
        }
        added = [
            stage
            for purpose, given in decisions.items()
            for stage in _added({"purpose": purpose, "given": given, "notice_version": notice_version})
        ]
        cut = {"history": {"$slice": ["$history", -LONGEST_HISTORY]}}
        return from_document(
            upsert(self._collection, {"_id": owner}, [{"$set": first}, *added, {"$set": cut}]), Consents
        )


def _added(decision: Document) -> list[Document]:
    """Update stages that put a decision at the end of the history, unless it says what the last one says."""
    current = f"$current.{decision['purpose']}"
    entry = {"$mergeObjects": [{"$literal": decision}, {"at": "$$NOW"}]}
    is_new = {
        "$or": [{"$ne": [f"{current}.{name}", {"$literal": decision[name]}]} for name in ("given", "notice_version")]
    }
    return [
        {
            "$set": {
                "history": {"$cond": [is_new, {"$concatArrays": ["$history", [entry]]}, "$history"]},
                f"current.{decision['purpose']}": {"$cond": [is_new, entry, current]},
            }
        }
    ]
