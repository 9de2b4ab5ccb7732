"""Routes of the plan's own source tree, for front ends written against it. Each says in its words what others do.

That tree knew media by their keys in the bucket, and took an artwork through its states one call at a time.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from actors import with_thumbnail
from app.dependencies import Owner, TheForecasts, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.openapi import refusals
from app.orders import ORDER_REFUSALS, JobCreate, answer
from app.payloads import Key, Mime, Payload, Story
from app.routes.artworks import ArtworkCreate, create
from app.routes.media import MEDIA_REFUSALS
from app.views import (
    ArtworkView,
    FilmStoryView,
    JobView,
    UploadView,
    view_artwork,
    view_film_story,
    view_upload,
)
from broker import run_in_transaction
from studio import edits, uploads
from studio.artworks import Artwork
from studio.films import found
from studio.media_assets import Kind
from studio.pipelines import JobKind
from studio.studio import Studio


class ImageKey(Payload, frozen=True, kw_only=True):
    image_key: Key
    """Of a drawing, or of the upload of one."""


class AudioUpload(Payload, frozen=True, kw_only=True):
    mime: Mime
    size: Annotated[int, Meta(ge=1)]
    """Bytes; the upload must have exactly this many."""


class AudioKey(Payload, frozen=True, kw_only=True):
    audio_key: Key
    """Of a recording, or of the upload of one."""


class Heard(Payload, frozen=True, kw_only=True):
    text: Story | None = None
    """What the caller's own recogniser heard; left out, ours listens."""


class FilmOfKey(Payload, frozen=True, kw_only=True):
    key: Key
    """Of a drawing, or of the upload of one."""
    text: Story | None = None


@post(
    "/artworks/from-image-key",
    status_code=201,
    counted_as=Calls.UPLOADS,
    responses=refusals(*MEDIA_REFUSALS, "UPLOAD_NOT_FOUND", "UPLOAD_CHANGED"),
)
async def create_artwork_of_key(
    data: JSONBody[ImageKey], owner: Owner, studio: TheStudio, links: TheLinks, request: AnyRequest
) -> ArtworkView:
    """Make an artwork of a drawing that was uploaded. Doing it twice gives the same artwork."""

    def store() -> Artwork:
        drawing = uploads.asset_of(studio, owner, data.image_key, Kind.IMAGE, store=with_thumbnail)
        return create(studio, owner, ArtworkCreate(cover_asset_id=drawing.id))

    return await view_artwork(studio, links, await to_thread.run_sync(store), language_of(request))


@post(
    "/artworks/{artwork_id:str}/audio/presign",
    status_code=201,
    sync_to_thread=True,
    counted_as=Calls.UPLOADS,
    responses=refusals("MIME_NOT_SUPPORTED", "FILE_TOO_LARGE"),
)
def presign_audio(
    artwork_id: FromPath[str], data: JSONBody[AudioUpload], owner: Owner, studio: TheStudio
) -> UploadView:
    """A URL for the recording of an artwork."""
    artwork = found(studio.artworks.get(owner, artwork_id).now())
    door = uploads.open_door(studio, owner, kind=Kind.AUDIO, mime=data.mime, size=data.size, artwork_id=artwork.id)
    return view_upload(studio, door)


@post(
    "/artworks/{artwork_id:str}/audio/commit",
    status_code=201,
    counted_as=Calls.UPLOADS,
    responses=refusals(*MEDIA_REFUSALS, "UPLOAD_NOT_FOUND", "UPLOAD_CHANGED", "STORY_IN_USE"),
)
async def commit_audio(
    artwork_id: FromPath[str],
    data: JSONBody[AudioKey],
    owner: Owner,
    studio: TheStudio,
    *,
    links: TheLinks,
    request: AnyRequest,
) -> ArtworkView:
    """Check an uploaded recording, and give it to the artwork in place of an older one."""

    def store() -> Artwork:
        artwork = found(studio.artworks.get(owner, artwork_id).now())
        recording = uploads.asset_of(studio, owner, data.audio_key, Kind.AUDIO, store=with_thumbnail)
        return _edit(studio, artwork, {"audio_asset_id": recording.id})

    return await view_artwork(studio, links, await to_thread.run_sync(store), language_of(request))


@post(
    "/artworks/{artwork_id:str}/transcribe",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals(*ORDER_REFUSALS),
)
async def transcribe_artwork(
    artwork_id: FromPath[str],
    owner: Owner,
    studio: TheStudio,
    forecasts: TheForecasts,
    *,
    request: AnyRequest,
    data: JSONBody[Heard | None] = None,
) -> Response[JobView]:
    """Write down and tidy the recorded story, before any film is asked for."""
    if data and data.text is not None:
        artwork = found(await studio.artworks.get(owner, artwork_id))
        await to_thread.run_sync(_edit, studio, artwork, {"transcript": data.text.strip() or None})
    return await answer(studio, forecasts, owner, JobCreate(artwork_id=artwork_id, kind=JobKind.STORY), request)


@post(
    "/artworks/{artwork_id:str}/run-llm",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals(*ORDER_REFUSALS),
)
async def refine_artwork(
    artwork_id: FromPath[str], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Tidy the story, before any film is asked for."""
    return await answer(studio, forecasts, owner, JobCreate(artwork_id=artwork_id, kind=JobKind.STORY), request)


@post(
    "/artworks/{artwork_id:str}/generate",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals(*ORDER_REFUSALS),
)
async def generate_artwork(
    artwork_id: FromPath[str], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Make a film of an artwork, as `regenerate` does."""
    return await answer(studio, forecasts, owner, JobCreate(artwork_id=artwork_id), request)


@post(
    "/generation/jobs/from-key",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals(*ORDER_REFUSALS, *MEDIA_REFUSALS, "UPLOAD_NOT_FOUND", "UPLOAD_CHANGED"),
)
async def create_job_of_key(
    data: JSONBody[FilmOfKey], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Ask for a film of a drawing that was uploaded."""
    committed = partial(uploads.asset_of, studio, owner, data.key, Kind.IMAGE, store=with_thumbnail)
    drawing = await to_thread.run_sync(committed)
    return await answer(studio, forecasts, owner, JobCreate(cover_asset_id=drawing.id, text=data.text), request)


@get("/artworks/by-video-key", responses=refusals("NOT_FOUND"))
async def get_artwork_of_film(
    key: Annotated[str, QueryParameter(min_length=1, max_length=512)],
    owner: Owner,
    studio: TheStudio,
    links: TheLinks,
) -> FilmStoryView:
    """The story behind a film."""
    film = await studio.media_assets.get_by_key(owner, key)
    artwork = await studio.artworks.get(owner, film.artwork_id) if film and film.kind is Kind.VIDEO else None
    return await view_film_story(studio, links, found(artwork))


def _edit(studio: Studio, artwork: Artwork, wanted: dict[str, str | None]) -> Artwork:
    return run_in_transaction(
        studio.client, lambda session: edits.edit(studio, artwork.owner, artwork.id, wanted, session=session)
    )
