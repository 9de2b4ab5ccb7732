"""Media that passed its checks: a pointer into the bucket, and what is known about the bytes there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio.indexes import Index
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Identified, Record, change, fields_of, from_document, insert


class Kind(StrEnum):
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class MediaAsset(Record, frozen=True, kw_only=True):
    owner: str
    artwork_id: str
    kind: Kind
    """What it is."""
    key: str
    """Its object in the bucket."""
    mime: str
    """The type that its bytes have."""
    size: int
    """Bytes."""
    etag: str
    """Of the object, without quotes."""
    source: str
    """What it was made from: the key of an upload or the id of a job. One source makes one asset."""
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    seconds: float | None = None
    """How long it plays."""
    silent: bool = False
    """A recording in which nothing can be heard."""
    hash: str | None = None
    """SHA-256 of the bytes, in hexadecimal."""
    poster_key: str | None = None
    """A still of a video."""
    thumb_key: str | None = None
    """A small copy of a picture."""

    @property
    def keys(self) -> list[str]:
        """Of all its objects."""
        return [key for key in (self.key, self.poster_key, self.thumb_key) if key]


class ShownAsset(Identified, frozen=True, kw_only=True):
    """As much of an asset as a list has to know to show it."""

    kind: Kind
    key: str
    mime: str
    seconds: float | None = None
    poster_key: str | None = None
    thumb_key: str | None = None


INDEXES = [
    Index(
        [("owner", ASCENDING), ("source", ASCENDING)],
        name="source",
        unique=True,
        why="One upload or job makes one asset, however often it says so.",
    ),
    Index([("key", ASCENDING), ("owner", ASCENDING)], name="key", why="The asset of an object."),
    Index(
        [("owner", ASCENDING), ("kind", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
        name="newest",
        why="A client's pictures, newest first.",
    ),
]


class MediaAssets:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, MediaAsset)
        self._shown = Reads(collection, loops, ShownAsset)

    def get(self, owner: str, asset_id: str) -> Read[MediaAsset | None]:
        return self._reads.owned(owner, asset_id)

    def get_by_source(self, owner: str, source: str) -> Read[MediaAsset | None]:
        return self._reads.one({"owner": owner, "source": source})

    def get_by_key(self, owner: str, key: str) -> Read[MediaAsset | None]:
        return self._reads.one({"owner": owner, "key": key})

    def by_ids(self, owner: str, asset_ids: set[str]) -> Read[dict[str, MediaAsset]]:
        return self._reads.by_id({"_id": {"$in": list(asset_ids)}, "owner": owner})

    def shown_by_ids(self, owner: str, asset_ids: set[str]) -> Read[dict[str, ShownAsset]]:
        """The same, with no more of them than a list shows."""
        return self._shown.by_id({"_id": {"$in": list(asset_ids)}, "owner": owner}, fields=fields_of(ShownAsset))

    def list_after(self, asset_id: str, *, limit: int) -> Read[list[MediaAsset]]:
        """The next media in the order of their ids, whoever owns them; for walks through all of them."""
        return self._reads.many({"_id": {"$gt": asset_id}}, sort=[("_id", ASCENDING)], limit=limit)

    def list_of(self, owner: str, artwork_id: str, asset_ids: set[str]) -> Read[list[MediaAsset]]:
        """What was uploaded or made for an artwork, and what else it uses."""
        of_it = [{"artwork_id": artwork_id}, {"_id": {"$in": list(asset_ids)}}]
        return self._reads.many({"owner": owner, "$or": of_it})

    def delete(self, assets: Iterable[MediaAsset], *, session: ClientSession) -> None:
        self._collection.delete_many({"_id": {"$in": [asset.id for asset in assets]}}, session=session)

    def shared_keys(self, owner: str, keys: Iterable[str]) -> set[str]:
        """Which of these objects somebody else's media are, too: an imported film can be."""
        found = self._collection.find({"key": {"$in": list(keys)}, "owner": {"$ne": owner}}, {"key": 1})
        return {document["key"] for document in found}

    def list_outside(self, owner: str, prefix: str) -> Read[list[MediaAsset]]:
        """Those whose objects lie elsewhere than under a prefix: films that were imported."""
        return self._reads.many({"owner": owner, "key": {"$not": re.compile(f"^{re.escape(prefix)}")}})

    def load(self, asset_id: str) -> Read[MediaAsset | None]:
        """An asset whoever owns it; for actors only."""
        return self._reads.one({"_id": asset_id})

    def list_pictures(self, owner: str, *, after: tuple[datetime, str] | None, limit: int) -> Read[list[MediaAsset]]:
        """The newest pictures, or those that follow `after`, the time and id of the last one of the page before."""
        query: Document = {"owner": owner, "kind": Kind.IMAGE}
        if after:
            created_at, asset_id = after
            query["$or"] = [{"created_at": {"$lt": created_at}}, {"created_at": created_at, "_id": {"$lt": asset_id}}]
        return self._reads.many(query, sort=[("created_at", -1), ("_id", -1)], limit=limit)

    def keys_of(self, asset_ids: set[str]) -> set[str]:
        """The keys of all objects that belong to these assets, whoever owns them."""
        fields = {"_id": 0, "key": 1, "poster_key": 1, "thumb_key": 1}
        found = self._collection.find({"_id": {"$in": list(asset_ids)}}, fields)
        return {key for document in found for key in document.values() if key}

    def set_still(self, asset_id: str, *, poster_key: str | None = None, thumb_key: str | None = None) -> bool:
        """Note the still of a film, or the small copy of a picture. Whether the asset is still there."""
        fields = {"poster_key": poster_key} if poster_key else {"thumb_key": thumb_key}
        return self._collection.update_one({"_id": asset_id}, change(fields)).matched_count == 1

    def create(self, fields: dict[str, Any], *, session: ClientSession | None = None) -> MediaAsset:
        """Store an asset. Outside a transaction, a source that made one already gives that one back."""
        try:
            return from_document(insert(self._collection, fields, session=session), MediaAsset)
        except DuplicateKeyError:
            existing = None if session else self.get_by_source(fields["owner"], fields["source"]).now()
            if existing is None:
                raise
            return existing
