"""The child's profile, one per client: all of it optional, and none of it a name or a birthday."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pymongo.client_session import ClientSession

from studio.records import Documents, Record, from_document, upsert


class AgeBand(StrEnum):
    """Three years each: close enough for words that fit, too wide to tell who it is."""

    FROM_1 = "1-3"
    FROM_4 = "4-6"
    FROM_7 = "7-9"
    FROM_10 = "10-12"
    FROM_13 = "13-15"
    FROM_16 = "16-18"

    @classmethod
    def of(cls, age: int) -> AgeBand:
        """The band of an age from 1 to 18."""
        return list(cls)[(age - 1) // 3]


class Profile(Record, frozen=True, kw_only=True):
    """`id` is the owner's. None and the empty text stand for what nobody told."""

    nickname: str | None = None
    age: int | None = None
    """Years, 1 to 18."""
    age_band: AgeBand | None = None
    """Follows from the age where that is known."""
    description: str | None = None
    avatar_asset_id: str | None = None


class Profiles:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def get(self, owner: str) -> Profile | None:
        document = self._collection.find_one({"_id": owner})
        return from_document(document, Profile) if document else None

    def put(self, owner: str, fields: dict[str, Any], *, session: ClientSession | None = None) -> Profile:
        """Change the fields that are given; the first time makes the profile."""
        first = {"$ifNull": ["$created_at", "$$NOW"]}
        document = upsert(
            self._collection,
            {"_id": owner},
            [{"$set": {**_literal(fields), "created_at": first, "updated_at": "$$NOW"}}],
            session=session,
        )
        return from_document(document, Profile)


def _literal(fields: dict[str, Any]) -> dict[str, Any]:
    """Values as they are: a "$" in people's words is no expression."""
    return {name: {"$literal": value} for name, value in fields.items()}
