"""What people change about an artwork that exists: its words and media, which film is shown, whether it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.client_session import ClientSession

from studio.artworks import Artwork
from studio.errors import StudioError
from studio.films import found, own_asset, refuse_while_filmed
from studio.jobs import Job
from studio.media_assets import Kind
from studio.records import Document
from studio.studio import Studio

_STORY = {"description", "transcript", "audio_asset_id"}
_DRAWING = {"cover_asset_id"}


def edit(studio: Studio, owner: str, artwork_id: str, wanted: Mapping[str, Any], *, session: ClientSession) -> Artwork:
    """Give an artwork some of: title, description, transcript, favourite, its assets' ids, shown_version.

    What was made of another story or another drawing is void; the films stay. Raises StudioError("NOT_FOUND") for an
    artwork, media or a version that the owner does not have, and STORY_IN_USE or DRAWING_IN_USE while a film is being
    made of what would change.
    """
    artwork = found(studio.artworks.get(owner, artwork_id).now(session=session))
    changed = {name: value for name, value in wanted.items() if value != getattr(artwork, name)}
    if not changed:
        return artwork
    if changed.keys() & _STORY:
        refuse_while_filmed(studio, artwork, "STORY_IN_USE", session=session)
    if changed.keys() & _DRAWING:
        refuse_while_filmed(studio, artwork, "DRAWING_IN_USE", session=session)
        studio.analyses.delete(artwork.id, session=session)
    return found(studio.artworks.edit(artwork, _stored(studio, artwork, changed), session=session))


def delete(studio: Studio, owner: str, artwork_id: str, *, session: ClientSession) -> list[Job]:
    """Put an artwork into the bin; its live jobs, which nobody wants any more. Raises StudioError("NOT_FOUND").

    One that is there already stays as it is.
    """
    found(studio.artworks.get_kept(owner, artwork_id).now(session=session))
    studio.artworks.delete(owner, artwork_id, session=session)
    return studio.jobs.list_live(artwork_id).now(session=session)


def restore(studio: Studio, owner: str, artwork_id: str, *, session: ClientSession) -> Artwork:
    """Hang an artwork into the gallery again, also when it hangs there. Raises StudioError("NOT_FOUND")."""
    studio.artworks.restore(owner, artwork_id, session=session)
    return found(studio.artworks.get(owner, artwork_id).now(session=session))


def _stored(studio: Studio, artwork: Artwork, changed: Document) -> Document:
    """What is stored of a change, together with what it makes void."""
    fields: Document = {"words": None} if changed.keys() & _STORY else {}
    for name, value in changed.items():
        match name:
            case "cover_asset_id":
                own_asset(studio, artwork.owner, value, Kind.IMAGE)
            case "audio_asset_id":
                own_asset(studio, artwork.owner, value, Kind.AUDIO)
                fields |= {"transcript": None, "heard": False}
            case "transcript":
                fields["heard"] = True
            case "shown_version":
                fields["video_asset_id"] = _film_of(artwork, value)
                continue
        fields[name] = value
    return fields


def _film_of(artwork: Artwork, number: int) -> str:
    film = next((version.video_asset_id for version in artwork.versions if version.version == number), None)
    if film is None:
        raise StudioError("NOT_FOUND")
    return film
