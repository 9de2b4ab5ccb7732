"""Artworks: made, looked at, changed, put into the bin and taken out again."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType
from pymongo.client_session import ClientSession

from actors import wishes
from app.dependencies import Owner, TheForecasts, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.openapi import refusals
from app.orders import ORDER_REFUSALS, JobCreate, answer
from app.payloads import Id, Payload, Story, Title
from app.views import ArtworkView, JobView, view_artwork
from broker import run_in_transaction
from studio import edits, films
from studio.artworks import Artwork, ArtworkIDTaken
from studio.errors import StudioError
from studio.studio import Studio


class ArtworkCreate(Payload, frozen=True, kw_only=True):
    artwork_id: Id | None = None
    """The id that its files were uploaded for; left out, it is the drawing's."""
    title: Title = ""
    description: Story = ""
    """The story as typed; leave it empty when it is told in the recording."""
    cover_asset_id: Id | None = None
    audio_asset_id: Id | None = None


class ArtworkUpdate(Payload, frozen=True, kw_only=True):
    """What is to change; what is left out stays as it is."""

    title: Title | UnsetType = UNSET
    description: Story | UnsetType = UNSET
    favourite: bool | UnsetType = UNSET
    cover_asset_id: Id | UnsetType | None = UNSET
    audio_asset_id: Id | UnsetType | None = UNSET
    video_version: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    """The number of the film that is to be shown."""

    def wanted(self) -> dict[str, object]:
        """The given fields, under the names of the domain."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        fields = {name: value for name, value in given.items() if value is not UNSET}
        for name in fields.keys() & {"title", "description"}:
            fields[name] = fields[name].strip()
        if "video_version" in fields:
            fields["shown_version"] = fields.pop("video_version")
        return fields


class Regeneration(Payload, frozen=True, kw_only=True):
    text: Story | None = None
    """The story of the new film; left out, it stays as it is."""


@post("/artworks", status_code=201, responses=refusals("NOT_FOUND", "ARTWORK_EXISTS"))
async def create_artwork(
    data: JSONBody[ArtworkCreate], owner: Owner, studio: TheStudio, links: TheLinks, request: AnyRequest
) -> ArtworkView:
    """Make an artwork of committed media. Doing it twice gives the same artwork."""
    artwork = await to_thread.run_sync(create, studio, owner, data)
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


@patch("/artworks/{artwork_id:str}", responses=refusals("STORY_IN_USE", "DRAWING_IN_USE"))
async def edit_artwork(
    artwork_id: FromPath[str],
    data: JSONBody[ArtworkUpdate],
    owner: Owner,
    studio: TheStudio,
    *,
    links: TheLinks,
    request: AnyRequest,
) -> ArtworkView:
    """Change what is given and leave the rest. Another story or drawing waits while a film of the old one is made."""

    def change(session: ClientSession) -> Artwork:
        return edits.edit(studio, owner, artwork_id, data.wanted(), session=session)

    artwork = await to_thread.run_sync(run_in_transaction, studio.client, change)
    return await view_artwork(studio, links, artwork, language_of(request))


@delete("/artworks/{artwork_id:str}", status_code=204)
async def delete_artwork(artwork_id: FromPath[str], owner: Owner, studio: TheStudio) -> None:
    """Put an artwork into the bin, where it stays for RETAIN_DELETED_DAYS, and cancel what is being made of it.

    Doing it twice changes nothing.
    """

    def change(session: ClientSession) -> None:
        for job in edits.delete(studio, owner, artwork_id, session=session):
            wishes.ask_to_cancel(job, session)

    await to_thread.run_sync(run_in_transaction, studio.client, change)


@post("/artworks/{artwork_id:str}/restore", status_code=200)
async def restore_artwork(
    artwork_id: FromPath[str], owner: Owner, studio: TheStudio, links: TheLinks, request: AnyRequest
) -> ArtworkView:
    """Take an artwork out of the bin. Doing it twice changes nothing."""

    def change(session: ClientSession) -> Artwork:
        return edits.restore(studio, owner, artwork_id, session=session)

    artwork = await to_thread.run_sync(run_in_transaction, studio.client, change)
    return await view_artwork(studio, links, artwork, language_of(request))


@post(
    "/artworks/{artwork_id:str}/regenerate",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals(*ORDER_REFUSALS),
)
async def regenerate_artwork(
    artwork_id: FromPath[str],
    owner: Owner,
    studio: TheStudio,
    forecasts: TheForecasts,
    *,
    request: AnyRequest,
    data: JSONBody[Regeneration | None] = None,
) -> Response[JobView]:
    """Make another film of an artwork, its next version; the older ones stay."""
    wanted = JobCreate(artwork_id=artwork_id, text=data.text if data else None)
    return await answer(studio, forecasts, owner, wanted, request)


def create(studio: Studio, owner: str, data: ArtworkCreate) -> Artwork:
    """The artwork of a payload, made now or by an equal call before."""

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
