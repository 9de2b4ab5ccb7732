"""Artworks: a drawing, the story told to it, and the films made of both."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio.media_assets import MediaAsset
from studio.providers.interfaces import Words
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, change, from_document, insert, new_id, upsert


class ArtworkStatus(StrEnum):
    DRAFT = "draft"
    """No film yet."""
    GENERATING = "generating"
    """The first film is being made."""
    READY = "ready"
    """There is a film to watch, whatever became of later tries."""
    FAILED = "failed"
    """The first film could not be made."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One film of an artwork. Older ones stay playable."""

    version: int
    job_id: str
    video_asset_id: str
    created_at: datetime


class Artwork(Record, frozen=True, kw_only=True):
    owner: str
    title: str
    description: str
    """The story as it was typed; empty when it was only told."""
    cover_asset_id: str | None
    audio_asset_id: str | None
    status: ArtworkStatus = ArtworkStatus.DRAFT
    transcript: str | None = None
    """What a recogniser heard in the recording; None when there is none or it could not tell."""
    words: Words | None = None
    """What the writer made of the story."""
    video_asset_id: str | None = None
    """The newest film."""
    versions: list[Version] = msgspec.field(default_factory=list)
    last_version: int = 0
    """The number given to the newest try at a film, finished or not."""
    deleted_at: datetime | None = None
    """When it went into the bin, out of which it can come back; None while it hangs in the gallery."""

    @property
    def asset_ids(self) -> set[str]:
        """Of all media it uses."""
        films = [version.video_asset_id for version in self.versions]
        return {asset_id for asset_id in (self.cover_asset_id, self.audio_asset_id, *films) if asset_id}

    @property
    def story(self) -> str | None:
        """The story in words: what was typed goes before what was heard."""
        return self.description or self.transcript or None


class ArtworkIDTaken(Exception):
    """An artwork has this id, whoever owns it. Raised through a transaction, which the server has aborted."""


INDEXES = [
    IndexModel([("owner", DESCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="gallery"),
    IndexModel([("deleted_at", ASCENDING)], name="bin", partialFilterExpression={"deleted_at": {"$type": "date"}}),
]


class Artworks:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Artwork)

    def create(
        self,
        owner: str,
        *,
        title: str,
        description: str,
        cover_asset_id: str | None,
        audio_asset_id: str | None,
        artwork_id: str | None = None,
        session: ClientSession | None = None,
    ) -> Artwork:
        """Store a new artwork, with a new id or with one that was reserved. Raises ArtworkIDTaken."""
        fields: Document = {
            "_id": artwork_id or new_id(),
            "owner": owner,
            "title": title,
            "description": description,
            "cover_asset_id": cover_asset_id,
            "audio_asset_id": audio_asset_id,
            "status": ArtworkStatus.DRAFT,
            "versions": [],
            "last_version": 0,
        }
        try:
            return from_document(insert(self._collection, fields, session=session), Artwork)
        except DuplicateKeyError as error:
            raise ArtworkIDTaken from error

    def is_taken(self, artwork_id: str, *, session: ClientSession | None = None) -> bool:
        """Whether anybody's artwork has this id."""
        return self._collection.find_one({"_id": artwork_id}, {"_id": 1}, session=session) is not None

    def get(self, owner: str, artwork_id: str) -> Read[Artwork | None]:
        return self._reads.one({"_id": artwork_id, "owner": owner})

    def list_page(self, owner: str, *, after: tuple[datetime, str] | None, limit: int) -> Read[list[Artwork]]:
        """The newest artworks, or those that follow `after`, the time and id of the last one of the page before."""
        query: Document = {"owner": owner}
        if after:
            created_at, artwork_id = after
            query["$or"] = [
                {"created_at": {"$lt": created_at}},
                {"created_at": created_at, "_id": {"$lt": artwork_id}},
            ]
        return self._reads.many(query, sort=[("created_at", -1), ("_id", -1)], limit=limit)

    def list_made(self, owner: str, *, since: datetime, before: datetime, limit: int) -> Read[list[Artwork]]:
        """The artworks made from one instant up to another, the newest first."""
        query = {"owner": owner, "deleted_at": None, "created_at": {"$gte": since, "$lt": before}}
        return self._reads.many(query, sort=[("created_at", -1), ("_id", -1)], limit=limit)

    def set_story(self, artwork_id: str, description: str, *, session: ClientSession) -> None:
        """Replace the typed story; what was made of the old one is void."""
        self._change(artwork_id, {"description": description, "words": None}, session=session)

    def set_transcript(self, artwork_id: str, transcript: str | None, *, session: ClientSession) -> None:
        self._change(artwork_id, {"transcript": transcript}, session=session)

    def set_words(self, artwork_id: str, words: Words, *, session: ClientSession) -> None:
        self._change(artwork_id, {"words": msgspec.to_builtins(words)}, session=session)

    def begin_version(self, artwork_id: str, *, session: ClientSession) -> int:
        """Take the number of the next film."""
        document = upsert(
            self._collection,
            {"_id": artwork_id},
            [{"$set": {"last_version": {"$add": ["$last_version", 1]}}}],
            session=session,
        )
        return int(document["last_version"])

    def add_version(
        self, artwork_id: str, *, version: int, job_id: str, video_asset_id: str, at: datetime, session: ClientSession
    ) -> None:
        """Add a finished film, in front if it is the newest; one job adds one film, however often it says so."""
        entry: dict[str, Any] = {
            "version": version,
            "job_id": job_id,
            "video_asset_id": video_asset_id,
            "created_at": at,
        }
        self._collection.update_one(
            {"_id": artwork_id, "versions.job_id": {"$ne": job_id}},
            change(
                {"status": ArtworkStatus.READY},
                **{"$push": {"versions": {"$each": [entry], "$sort": {"version": 1}}}},
            ),
            session=session,
        )
        # An old job that was retried adds its film behind the newer ones.
        newer = {"$elemMatch": {"version": {"$gt": version}}}
        self._collection.update_one(
            {"_id": artwork_id, "versions": {"$not": newer}},
            {"$set": {"video_asset_id": video_asset_id}},
            session=session,
        )

    def set_status_without_film(self, artwork_id: str, status: ArtworkStatus, *, session: ClientSession) -> None:
        """Say how the first film fares; an artwork that has one stays ready."""
        self._collection.update_one(
            {"_id": artwork_id, "video_asset_id": None}, change({"status": status}), session=session
        )

    def list_using(self, assets: Collection[MediaAsset]) -> Read[list[Artwork]]:
        """The artworks that use some of these media, also those in the bin."""
        ids = [asset.id for asset in assets]
        uses = [{field: {"$in": ids}} for field in ("cover_asset_id", "audio_asset_id", "versions.video_asset_id")]
        # The owners are there for the sake of the index.
        owners = list({asset.owner for asset in assets})
        return self._reads.many({"owner": {"$in": owners}, "$or": uses})

    def list_deleted_before(self, moment: datetime, *, limit: int) -> Read[list[Artwork]]:
        """What went into the bin before a moment."""
        return self._reads.many({"deleted_at": {"$lt": moment}}, limit=limit)

    def purge(self, artwork: Artwork, *, session: ClientSession) -> bool:
        """Remove it for good, if it still is in the bin."""
        binned = {"_id": artwork.id, "deleted_at": {"$eq": artwork.deleted_at, "$ne": None}}
        return self._collection.delete_one(binned, session=session).deleted_count == 1

    def forget_recording(self, owner: str, asset_id: str, *, session: ClientSession) -> None:
        """Let the artworks that have this recording do without one."""
        self._collection.update_many(
            {"owner": owner, "audio_asset_id": asset_id}, change({"audio_asset_id": None}), session=session
        )

    def _change(self, artwork_id: str, fields: Document, *, session: ClientSession) -> None:
        self._collection.update_one({"_id": artwork_id}, change(fields), session=session)
