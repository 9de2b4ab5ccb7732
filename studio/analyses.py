"""Readings of drawings, one per artwork: the newest."""

from __future__ import annotations

from datetime import datetime

import msgspec
from pymongo import ASCENDING
from pymongo.client_session import ClientSession

from studio.indexes import Index
from studio.providers.interfaces import Reading
from studio.reads import Loops, Read, Reads
from studio.records import Documents, Record


class Analysis(Record, frozen=True, kw_only=True):
    """`id` is the artwork's."""

    owner: str
    made_of: str
    """A digest of the drawing and the story that were read."""
    reading: Reading
    """What was read."""


INDEXES = [Index([("owner", ASCENDING)], name="owner", why="A client's readings, for export and erasure.")]


class Analyses:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Analysis)

    def get(self, owner: str, artwork_id: str) -> Read[Analysis | None]:
        return self._reads.owned(owner, artwork_id)

    def by_ids(self, owner: str, artwork_ids: list[str]) -> Read[dict[str, Analysis]]:
        """The readings of several artworks, each under its artwork's id."""
        return self._reads.by_id({"_id": {"$in": artwork_ids}, "owner": owner})

    def delete(self, artwork_id: str, *, session: ClientSession) -> None:
        self._collection.delete_one({"_id": artwork_id}, session=session)

    def put(self, owner: str, artwork_id: str, *, made_of: str, reading: Reading, session: ClientSession) -> None:
        """Store the reading of an artwork's drawing in place of an older one."""
        fields = {
            "owner": owner,
            "made_of": made_of,
            "reading": msgspec.to_builtins(reading, builtin_types=(datetime,)),
        }
        self._collection.update_one(
            {"_id": artwork_id},
            [
                {
                    "$replaceWith": {
                        "$mergeObjects": [
                            "$$ROOT",
                            {"$literal": fields},
                            {"created_at": {"$ifNull": ["$created_at", "$$NOW"]}, "updated_at": "$$NOW"},
                        ]
                    }
                }
            ],
            upsert=True,
            session=session,
        )
