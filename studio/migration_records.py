"""What is known of each migration: whether it finished, and which process is running it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from studio.records import Documents, new_id

CLAIM_S = 15.0
"""A migration whose process has not been heard of for so long is free for another one."""
_UNTIL = {"$add": ["$$NOW", int(1000 * CLAIM_S)]}
_FINISHED = {"finished_at": {"$type": "date"}}


class MigrationRecord(msgspec.Struct, frozen=True, kw_only=True, rename={"number": "_id"}):
    number: int
    name: str
    """What it changes."""
    finished_at: datetime | None = None
    """When it had run to its end."""
    claim: str | None = None
    """While a process runs it: what that process renews and finishes it by."""
    claimed_until: datetime | None = None
    """When the claim lapses."""


class MigrationRecords:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def list_finished(self) -> set[int]:
        return set(self._collection.distinct("_id", _FINISHED))

    def is_finished(self, number: int) -> bool:
        return self._collection.find_one({"_id": number, **_FINISHED}) is not None

    def create(self, number: int, name: str) -> None:
        """Note a migration; one that is noted already is left as it is."""
        self._collection.update_one({"_id": number}, {"$setOnInsert": {"name": name}}, upsert=True)

    def claim(self, number: int) -> str | None:
        """The claim to a migration that neither has finished nor is being run."""
        claim = new_id()
        # A time that is missing counts as before any other.
        is_free = {"$expr": {"$lt": ["$claimed_until", "$$NOW"]}}
        result = self._collection.update_one(
            {"_id": number, "finished_at": None, **is_free}, [{"$set": {"claim": claim, "claimed_until": _UNTIL}}]
        )
        return claim if result.modified_count else None

    def renew(self, number: int, claim: str) -> None:
        self._collection.update_one({"_id": number, "claim": claim}, [{"$set": {"claimed_until": _UNTIL}}])

    def mark_finished(self, number: int, claim: str) -> None:
        """Nothing is marked when the claim has lapsed: then another process runs it once more, and will say so."""
        self._collection.update_one(
            {"_id": number, "claim": claim},
            [{"$set": {"finished_at": "$$NOW"}}, {"$unset": ["claim", "claimed_until"]}],
        )
