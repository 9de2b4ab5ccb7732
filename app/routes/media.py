"""`POST /upload/presign` and `POST /media/commit`: the two halves of an upload."""

from __future__ import annotations

from typing import Annotated

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from app.dependencies import Owner, TheStudio
from app.limits import Calls
from app.payloads import Id, Mime, Payload
from app.views import MediaAssetView, View, view_asset
from studio import uploads
from studio.media_assets import Kind


class UploadCreate(Payload, frozen=True, kw_only=True):
    type: Kind
    mime: Mime
    size: Annotated[int, Meta(ge=1)]
    """Bytes; the upload must have exactly this many."""
    artwork_id: Id | None = None
    """The artwork it is for: one that exists, or the id that an upload before this one was given."""


class UploadView(View, frozen=True, kw_only=True):
    key: str
    url: str
    method: str
    headers: dict[str, str]
    """To be sent with the upload exactly as they are; they are part of the signature."""
    expires_in_s: int
    artwork_id: str
    """For the other uploads of the same artwork, and for `POST /artworks`."""


class MediaCommit(Payload, frozen=True, kw_only=True):
    key: Annotated[str, Meta(min_length=1, max_length=512)]
    etag: Annotated[str, Meta(max_length=80)] | None = None
    mime: Annotated[str, Meta(max_length=100)] | None = None
    """Taken for politeness: the real type is read from the bytes."""
    size: Annotated[int, Meta(ge=0)] | None = None


@post("/upload/presign", status_code=201, sync_to_thread=True, counted_as=Calls.UPLOADS)
def presign_upload(data: JSONBody[UploadCreate], owner: Owner, studio: TheStudio) -> UploadView:
    """A URL for one upload of exactly this type and size."""
    door = uploads.open_door(studio, owner, kind=data.type, mime=data.mime, size=data.size, artwork_id=data.artwork_id)
    return UploadView(
        key=door.key,
        url=door.url,
        method="PUT",
        headers=door.headers,
        expires_in_s=studio.settings.presign_expires_s,
        artwork_id=door.artwork_id,
    )


@post("/media/commit", status_code=201, sync_to_thread=True, counted_as=Calls.UPLOADS)
def commit_media(data: JSONBody[MediaCommit], owner: Owner, studio: TheStudio) -> MediaAssetView:
    """Check an upload and make it usable. Committing it twice gives the same asset."""
    return view_asset(studio, uploads.commit(studio, owner, key=data.key, etag=data.etag, size=data.size))
