"""The ways in for media, `POST /upload/presign` with `POST /media/commit` and `POST /upload`, and the way out,
`GET /media/...`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from litestar import HttpMethod, post, route
from litestar.exceptions import ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.types import ASGIApp
from msgspec import Meta

from actors import with_thumbnail
from app.dependencies import Owner, TheIdentity, TheLinks, TheMediaDoor, TheStudio
from app.errors import AnyRequest
from app.forms import Form, FormOperation, read_form
from app.limits import Calls
from app.openapi import refusals
from app.payloads import Id, Key, Mime, Payload
from app.views import MediaAssetView, UploadedView, UploadView, view_asset, view_upload, view_uploaded
from studio import uploads
from studio.errors import StudioError
from studio.keys import is_in_folder_of
from studio.media_assets import Kind
from studio.scratch import scratch_folder
from studio.studio import Studio

_Part = Annotated[str, QueryParameter(max_length=200)]


MEDIA_REFUSALS = (
    "NOT_FOUND",
    "FILE_TOO_LARGE",
    "IMAGE_TOO_LARGE",
    "IMAGE_TOO_LONG",
    "IMAGE_UNREADABLE",
    "AUDIO_UNREADABLE",
    "AUDIO_TOO_LONG",
    "VIDEO_UNREADABLE",
    "KIND_MISMATCH",
    "MIME_NOT_SUPPORTED",
    "STORE_UNAVAILABLE",
)
"""What the checks of a file may come to."""


class UploadCreate(Payload, frozen=True, kw_only=True):
    type: Kind
    mime: Mime
    size: Annotated[int, Meta(ge=1)]
    """Bytes; the upload must have exactly this many."""
    artwork_id: Id | None = None
    """The artwork it is for: one that exists, or the id that an upload before this one was given."""


class MediaCommit(Payload, frozen=True, kw_only=True):
    key: Key
    etag: Annotated[str, Meta(max_length=80)] | None = None
    mime: Annotated[str, Meta(max_length=100)] | None = None
    """Taken for politeness: the real type is read from the bytes."""
    size: Annotated[int, Meta(ge=0)] | None = None


@post(
    "/upload/presign",
    status_code=201,
    sync_to_thread=True,
    counted_as=Calls.UPLOADS,
    responses=refusals("NOT_FOUND", "MIME_NOT_SUPPORTED", "FILE_TOO_LARGE"),
)
def presign_upload(data: JSONBody[UploadCreate], owner: Owner, studio: TheStudio) -> UploadView:
    """A URL for one upload of exactly this type and size."""
    door = uploads.open_door(studio, owner, kind=data.type, mime=data.mime, size=data.size, artwork_id=data.artwork_id)
    return view_upload(studio, door)


@post(
    "/media/commit",
    status_code=201,
    sync_to_thread=True,
    counted_as=Calls.UPLOADS,
    responses=refusals(*MEDIA_REFUSALS, "UPLOAD_NOT_FOUND", "UPLOAD_CHANGED"),
)
def commit_media(data: JSONBody[MediaCommit], owner: Owner, studio: TheStudio, links: TheLinks) -> MediaAssetView:
    """Check an upload and make it usable. Committing it twice gives the same asset."""
    asset = uploads.commit(studio, owner, key=data.key, etag=data.etag, size=data.size, store=with_thumbnail)
    return view_asset(links, asset)


@post(
    "/upload",
    status_code=201,
    request_max_body_size=None,
    operation_class=FormOperation,
    counted_as=Calls.UPLOADS,
    responses=refusals("INVALID_INPUT", "BODY_TOO_LARGE", *MEDIA_REFUSALS),
)
async def upload_file(request: AnyRequest, owner: Owner, studio: TheStudio, links: TheLinks) -> UploadedView:
    """Send a file through the web process, as a form: for callers that cannot reach the bucket.

    The file is in the field `file`, or in `image`, `audio` or `video`; without such a name and without `type`, its
    bytes tell what it is. `artworkId` is the artwork it is for. It is checked as a commit checks an upload.
    """
    with scratch_folder() as folder:
        form = await read_form(request, folder / "received", max_bytes=studio.settings.proxied_upload_max_bytes)
        named = form.file_field if form.file_field in set(Kind) else None
        asset = await to_thread.run_sync(
            partial(
                uploads.take_in,
                studio,
                owner,
                form.path,
                kind=_read_text(form, "type", Kind | None, named),
                artwork_id=_read_text(form, "artworkId", Id | None),
                store=with_thumbnail,
            )
        )
    return view_uploaded(links, asset)


def _read_text(form: Form, name: str, kind: Any, otherwise: str | None = None) -> Any:
    try:
        return msgspec.convert(form.texts.get(name, otherwise), kind)
    except msgspec.ValidationError as error:
        raise ValidationException(extra=[{"key": name, "message": str(error)}]) from error


@route(
    "/media/{key:path}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    status_code=200,
    responses={
        200: ResponseSpec(bytes, media_type="*/*", description="The bytes. 文件内容。"),
        206: ResponseSpec(bytes, media_type="*/*", description="The range that was asked for. 所请求的范围。"),
        302: ResponseSpec(None, description="Where the store has them. 文件存储中的地址。"),
        304: ResponseSpec(None, description="The caller has them already. 内容没有变化。"),
        **refusals(
            "CLIENT_ID_REQUIRED",
            "CLIENT_ID_INVALID",
            "MEDIA_LINK_EXPIRED",
            "RANGE_NOT_SATISFIABLE",
            "STORE_UNAVAILABLE",
        ),
    },
)
async def read_media(
    request: AnyRequest,
    studio: TheStudio,
    media_door: TheMediaDoor,
    identity: TheIdentity,
    *,
    e: _Part = "",
    t: _Part = "",
    s: _Part = "",
    download: FromQuery[bool] = False,
) -> ASGIApp:
    """The bytes of a picture, a recording or a film, at the address that another answer gave.

    Such an address authorises itself by `e`, `t` and `s`. Without them it takes the client that the object belongs to.
    With `download`, browsers save the object instead of showing it.
    """
    # As it was sent: the framework's own parameter has been tidied up.
    key = request.scope["path"].removeprefix("/media/")
    if s:
        seconds_left = studio.media_links.seconds_left(key, mime=t, expires=e, signature=s)
        return await media_door.open(request, key, mime=t, seconds_left=seconds_left, save=download)
    if not await _is_own(studio, identity.owner(request), key):
        raise StudioError("NOT_FOUND")
    seconds_left = studio.settings.presign_expires_s
    return await media_door.open(request, key, mime="", seconds_left=seconds_left, save=download)


async def _is_own(studio: Studio, owner: str, key: str) -> bool:
    """Whether an object is in the owner's folder, or was brought in from elsewhere for the owner."""
    return is_in_folder_of(owner, key) or await studio.media_assets.get_by_source(owner, key) is not None
