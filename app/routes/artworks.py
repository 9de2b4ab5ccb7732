"""Artworks and the gallery that shows them."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated

from anyio import to_thread
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from app.dependencies import Owner, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.payloads import Id, Payload, Story, Title
from app.views import ArtworkView, GalleryView, view_artwork, view_gallery
from studio import films
from studio.artworks import Artwork, ArtworkIDTaken
from studio.errors import StudioError
from studio.studio import Studio

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The milliseconds of a time that MongoDB can hold, and an id.
_PLACE = re.compile(rb"(\d{1,14}) ([\w-]{1,64})")


class ArtworkCreate(Payload, frozen=True, kw_only=True):
    artwork_id: Id | None = None
    """The id that its files were uploaded for; left out, it is the drawing's."""
    title: Title = ""
    description: Story = ""
    """The story as typed; leave it empty when it is told in the recording."""
    cover_asset_id: Id | None = None
    audio_asset_id: Id | None = None


@post("/artworks", status_code=201)
async def create_artwork(
    data: JSONBody[ArtworkCreate], owner: Owner, studio: TheStudio, links: TheLinks, request: AnyRequest
) -> ArtworkView:
    """Make an artwork of committed media. Doing it twice gives the same artwork."""
    artwork = await to_thread.run_sync(_create, studio, owner, data)
    return await view_artwork(studio, links, artwork, language_of(request))


@get("/artworks/{artwork_id:str}")
async def get_artwork(
    artwork_id: FromPath[str], owner: Owner, studio: TheStudio, links: TheLinks, request: AnyRequest
) -> ArtworkView:
    """One artwork with its film, its words and its newest job."""
    artwork = await studio.artworks.get(owner, artwork_id)
    if artwork is None:
        raise StudioError("NOT_FOUND")
    return await view_artwork(studio, links, artwork, language_of(request))


@get("/gallery")
async def list_gallery(
    owner: Owner,
    studio: TheStudio,
    links: TheLinks,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> GalleryView:
    """The client's artworks, newest first."""
    found = await studio.artworks.list_page(owner, after=_read_cursor(cursor) if cursor else None, limit=limit + 1)
    page = found[:limit]
    return await view_gallery(studio, links, owner, page, _cursor(page[-1]) if len(found) > limit else None)


def _create(studio: Studio, owner: str, data: ArtworkCreate) -> Artwork:
    def store() -> Artwork:
        return films.new_artwork(
            studio,
            owner,
            artwork_id=data.artwork_id,
            title=data.title.strip(),
            description=data.description.strip(),
            cover_asset_id=data.cover_asset_id,
            audio_asset_id=data.audio_asset_id,
        )

    try:
        return store()
    except ArtworkIDTaken:
        # By a second tap on the same button, and now there is something to see.
        return store()


def _cursor(artwork: Artwork) -> str:
    """The place after an artwork, which stays right while others are added."""
    milliseconds = (artwork.created_at - _EPOCH) // timedelta(milliseconds=1)
    return urlsafe_b64encode(f"{milliseconds} {artwork.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        place = _PLACE.fullmatch(urlsafe_b64decode(cursor.encode()))
    except ValueError:
        place = None
    if place is None:
        raise StudioError("CURSOR_INVALID")
    return _EPOCH + timedelta(milliseconds=int(place[1])), place[2].decode()
