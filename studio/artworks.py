"""Artworks: a drawing, the story told to it, and the films made of both."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from pymongo import ASCENDING, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio import gallery
from studio.gallery import Choice, Place
from studio.indexes import Index
from studio.media_assets import MediaAsset
from studio.providers.interfaces import Words
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, change, fields_of, from_document, insert, new_id, upsert


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
    """The job that made it."""
    video_asset_id: str
    """The film."""
    created_at: datetime
    provider: str | None = None
    """Who made it; None for one that was there before, and for those of older versions of HuaBan."""
    model: str | None = None
    """With which model; None also where the provider has but one."""


class ListedArtwork(Record, frozen=True, kw_only=True):
    """As much of an artwork as a list shows: without its words, which are most of it."""

    title: str
    """As the family calls it; may be empty."""
    cover_asset_id: str | None
    """The drawing."""
    status: ArtworkStatus = ArtworkStatus.DRAFT
    favourite: bool = False
    """Marked by the family."""
    video_asset_id: str | None = None
    """The film that is shown: the newest, or the one that was chosen after that was made."""
    deleted_at: datetime | None = None
    """When it went into the bin, out of which it can come back; None while it hangs in the gallery."""


class Artwork(ListedArtwork, frozen=True, kw_only=True):
    owner: str
    description: str
    """The story as it was typed; empty when it was only told."""
    audio_asset_id: str | None
    """The recording."""
    transcript: str | None = None
    """What a recogniser heard in the recording; None when there is none or it could not tell."""
    heard: bool = False
    """Whether the recording was listened to, whatever came of it."""
    words: Words | None = None
    """What the writer made of the story."""
    versions: list[Version] = msgspec.field(default_factory=list)
    """All its films, the oldest first."""
    last_version: int = 0
    """The number given to the newest try at a film, finished or not."""

    @property
    def asset_ids(self) -> set[str]:
        """Of all media it uses."""
        films = [version.video_asset_id for version in self.versions]
        return {asset_id for asset_id in (self.cover_asset_id, self.audio_asset_id, *films) if asset_id}

    @property
    def shown_version(self) -> int | None:
        """The number of the film that is shown."""
        shown = (version.version for version in self.versions if version.video_asset_id == self.video_asset_id)
        return next(shown, None)

    def film_of(self, job_id: str) -> str | None:
        """The film that a job made, whichever is shown; None while it has made none."""
        made = (version.video_asset_id for version in self.versions if version.job_id == job_id)
        return next(made, None)

    @property
    def story(self) -> str | None:
        """The story in words: what was typed goes before what was heard."""
        return self.description or self.transcript or None


class ArtworkIDTaken(Exception):
    """An artwork has this id, whoever owns it. Raised through a transaction, which the server has aborted."""


INDEXES = [
    *gallery.INDEXES,
    Index(
        [("deleted_at", ASCENDING)],
        name="deleted",
        partialFilterExpression={"deleted_at": {"$type": "date"}},
        why="What has been in the bin for long, for the clean-up.",
    ),
]


class Artworks:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Artwork)
        self._listed = Reads(collection, loops, ListedArtwork)

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
            "favourite": False,
            "versions": [],
            "last_version": 0,
            "deleted_at": None,
        }
        try:
            return from_document(insert(self._collection, fields, session=session), Artwork)
        except DuplicateKeyError as error:
            raise ArtworkIDTaken from error

    def is_taken(self, artwork_id: str, *, session: ClientSession | None = None) -> bool:
        """Whether anybody's artwork has this id."""
        return self._collection.find_one({"_id": artwork_id}, {"_id": 1}, session=session) is not None

    def get(self, owner: str, artwork_id: str) -> Read[Artwork | None]:
        """An artwork in its owner's gallery."""
        return self._reads.one({"_id": artwork_id, "owner": owner, "deleted_at": None})

    def get_kept(self, owner: str, artwork_id: str) -> Read[Artwork | None]:
        """An artwork, also one in the bin."""
        return self._reads.owned(owner, artwork_id)

    def list_page(
        self, owner: str, choice: Choice, *, after: Place | None, down_to: Place | None = None, limit: int
    ) -> Read[list[ListedArtwork]]:
        """The first artworks of a choice, or those that follow `after`, no further than `down_to`."""
        query = choice.query(owner, after=after, down_to=down_to)
        return self._listed.many(query, sort=choice.order, limit=limit, fields=fields_of(ListedArtwork))

    def get_ahead(self, owner: str, choice: Choice, *, after: Place | None, steps: int) -> Read[Artwork | None]:
        """The artwork so many steps behind `after`, whether it is wanted or not; None where there are fewer."""
        return self._reads.one(choice.walk(owner, after=after), sort=choice.order, skip=steps - 1)

    def edit(self, artwork: Artwork, fields: Document, *, session: ClientSession) -> Artwork | None:
        """Change what people may change; None when it is not in the gallery any more."""
        document = self._collection.find_one_and_update(
            {"_id": artwork.id, "deleted_at": None},
            change(fields),
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return from_document(document, Artwork) if document else None

    def delete(self, owner: str, artwork_id: str, *, session: ClientSession) -> None:
        """Put it into the bin; one that is there already keeps its time."""
        self._collection.update_one(
            {"_id": artwork_id, "owner": owner, "deleted_at": None},
            [{"$set": {"deleted_at": "$$NOW", "updated_at": "$$NOW"}}],
            session=session,
        )

    def restore(self, owner: str, artwork_id: str, *, session: ClientSession | None = None) -> None:
        """Hang it into the gallery again, at its old place."""
        self._collection.update_one(
            {"_id": artwork_id, "owner": owner, "deleted_at": {"$ne": None}},
            change({"deleted_at": None}),
            session=session,
        )

    def list_made(self, owner: str, *, since: datetime, before: datetime, limit: int) -> Read[list[Artwork]]:
        """The artworks made from one instant up to another, the newest first."""
        query = {"owner": owner, "deleted_at": None, "created_at": {"$gte": since, "$lt": before}}
        return self._reads.many(query, sort=[("created_at", -1), ("_id", -1)], limit=limit)

    def set_story(self, artwork_id: str, description: str, *, session: ClientSession) -> None:
        """Replace the typed story; what was made of the old one is void."""
        self._change(artwork_id, {"description": description, "words": None}, session=session)

    def set_transcript(self, artwork: Artwork, transcript: str | None, *, session: ClientSession) -> bool:
        """Store what was heard in the recording; False when there is another one, or a transcript, by now.

        Where nothing was typed it becomes the story, and what was made of none is void.
        """
        fields: Document = {"transcript": transcript, "heard": True}
        if transcript is not None and not artwork.description:
            fields["words"] = None
        return self._update(
            {"_id": artwork.id, "audio_asset_id": artwork.audio_asset_id, "transcript": None}, fields, session
        )

    def set_words(self, artwork: Artwork, words: Words, *, session: ClientSession) -> bool:
        """Store what was made of the story; False when that is another one by now."""
        told = {name: getattr(artwork, name) for name in ("description", "transcript", "audio_asset_id")}
        return self._update({"_id": artwork.id, **told}, {"words": msgspec.to_builtins(words)}, session)

    def hold_drawing(self, artwork: Artwork, *, session: ClientSession) -> bool:
        """Let nobody exchange the drawing before this transaction has committed. False when somebody has already."""
        result = self._collection.update_one(
            {"_id": artwork.id, "cover_asset_id": artwork.cover_asset_id},
            {"$currentDate": {"updated_at": True}},
            session=session,
        )
        return result.matched_count == 1

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
        self,
        artwork_id: str,
        *,
        version: int,
        job_id: str,
        video_asset_id: str,
        at: datetime,
        provider: str | None = None,
        model: str | None = None,
        session: ClientSession,
    ) -> None:
        """Add a finished film, in front if it is the newest; one job adds one film, however often it says so."""
        entry: dict[str, Any] = {
            "version": version,
            "job_id": job_id,
            "video_asset_id": video_asset_id,
            "created_at": at,
            "provider": provider,
            "model": model,
        }
        versions = {"$concatArrays": [{"$ifNull": ["$versions", []]}, [{"$literal": entry}]]}
        # An old job that was retried adds its film behind the newer ones.
        is_newest = {"$gte": [version, {"$max": "$versions.version"}]}
        self._collection.update_one(
            {"_id": artwork_id, "versions.job_id": {"$ne": job_id}},
            [
                {
                    "$set": {
                        "status": ArtworkStatus.READY,
                        "versions": {"$sortArray": {"input": versions, "sortBy": {"version": 1}}},
                        "video_asset_id": {"$cond": [is_newest, {"$literal": video_asset_id}, "$video_asset_id"]},
                        "updated_at": "$$NOW",
                    }
                }
            ],
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
        self._update({"_id": artwork_id}, fields, session)

    def _update(self, query: Document, fields: Document, session: ClientSession) -> bool:
        return self._collection.update_one(query, change(fields), session=session).matched_count == 1
