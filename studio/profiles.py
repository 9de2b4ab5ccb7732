"""The child's profile, one per client: all of it optional, and none of it a name or a birthday."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pymongo.client_session import ClientSession

from studio.errors import StudioError
from studio.media_assets import Kind, MediaAssets
from studio.reads import Loops, Read, Reads
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
    """`id` is the owner's. None stands for what nobody told."""

    nickname: str | None = None
    """What the child is called here."""
    age: int | None = None
    """Years, 1 to 18."""
    age_band: AgeBand | None = None
    """Follows from the age where that is known."""
    description: str | None = None
    """In the family's own words."""
    avatar_asset_id: str | None = None
    """A picture of the client's own."""


class Profiles:
    def __init__(self, collection: Documents, loops: Loops, media_assets: MediaAssets) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Profile)
        self._media_assets = media_assets

    def get(self, owner: str) -> Read[Profile | None]:
        return self._reads.one({"_id": owner})

    def avatars(self, owners: Iterable[str], *, session: ClientSession | None = None) -> set[str]:
        """The media that these owners have chosen as pictures of themselves."""
        found = self._collection.find({"_id": {"$in": list(owners)}}, {"avatar_asset_id": 1}, session=session)
        return {document["avatar_asset_id"] for document in found if document.get("avatar_asset_id")}

    def change(self, owner: str, fields: dict[str, Any]) -> Profile:
        """Change the fields that are given; the first time makes the profile.

        Raises StudioError("NOT_FOUND") for an avatar that is no picture of the owner's.
        """
        fields = _with_age_band(fields)
        if (avatar := fields.get("avatar_asset_id")) and not self._is_picture(owner, avatar):
            raise StudioError("NOT_FOUND")
        # A "$" in people's words is no expression.
        given = {name: {"$literal": value} for name, value in fields.items()}
        first = {"$ifNull": ["$created_at", "$$NOW"]}
        document = upsert(
            self._collection, {"_id": owner}, [{"$set": {**given, "created_at": first, "updated_at": "$$NOW"}}]
        )
        return from_document(document, Profile)

    def _is_picture(self, owner: str, asset_id: str) -> bool:
        asset = self._media_assets.get(owner, asset_id).now()
        return asset is not None and asset.kind is Kind.IMAGE


def _with_age_band(fields: dict[str, Any]) -> dict[str, Any]:
    """An age decides its band, and a band alone takes the place of an age that was told before."""
    if (age := fields.get("age")) is not None:
        return {**fields, "age_band": AgeBand.of(age)}
    if "age" in fields or "age_band" in fields:
        return {**fields, "age": None, "age_band": fields.get("age_band")}
    return fields
