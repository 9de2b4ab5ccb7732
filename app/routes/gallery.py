"""`GET /gallery`: a client's artworks, a page at a time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ValidationException
from litestar.params import FromQuery, QueryParameter

from app.cursors import cursor_of, read_cursor
from app.dependencies import Owner, TheLinks, TheStudio
from app.openapi import refusals
from app.views import GalleryView, view_gallery
from studio.artworks import ArtworkStatus, ListedArtwork
from studio.gallery import SEARCH_DEPTH, Choice, Place
from studio.studio import Studio

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(_DATE.pattern + r"T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def provide_choice(
    *,
    q: Annotated[str, QueryParameter(max_length=100)] = "",
    since: Annotated[str, QueryParameter(name="from")] = "",
    until: Annotated[str, QueryParameter(name="to")] = "",
    status: FromQuery[ArtworkStatus | None] = None,
    favourite: FromQuery[bool | None] = None,
    deleted: FromQuery[bool] = False,
) -> Choice:
    """What the query of a gallery asks for."""
    return Choice(
        deleted=deleted,
        favourite=favourite,
        status=status,
        words=q.strip() or None,
        since=_moment("from", since, time.min),
        until=_moment("to", until, time.max),
    )


@get(
    "/gallery",
    dependencies={"choice": Provide(provide_choice, sync_to_thread=False)},
    responses=refusals("CURSOR_INVALID"),
)
async def list_gallery(
    owner: Owner,
    studio: TheStudio,
    links: TheLinks,
    choice: NamedDependency[Choice],
    *,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> GalleryView:
    """The client's artworks, newest first, or those in the bin, last deleted first.

    `q` is looked for as it is, in any case, in titles, typed stories and transcripts. `from` and `to` are dates, meant
    as whole days, or instants; both are included, and in UTC unless they say otherwise. Go on with `nextCursor` until
    it is null: a call looks through 5,000 artworks at most, so a page of a search may hold fewer items than `limit`,
    even none.
    """
    after = Place(*read_cursor(cursor)) if cursor else None
    page, following = await _page(studio, owner, choice, after=after, limit=limit)
    return await view_gallery(studio, links, owner, page, cursor_of(*following) if following else None)


async def _page(
    studio: Studio, owner: str, choice: Choice, *, after: Place | None, limit: int
) -> tuple[list[ListedArtwork], Place | None]:
    """A page, and the place after which the next one begins. A search stops at its depth, and goes on from there."""
    depth = None
    if choice.is_search:
        deepest = await studio.artworks.get_ahead(owner, choice, after=after, steps=SEARCH_DEPTH)
        depth = _place(choice, deepest) if deepest else None
    found = await studio.artworks.list_page(owner, choice, after=after, down_to=depth, limit=limit + 1)
    page = found[:limit]
    return page, _place(choice, page[-1]) if len(found) > limit else depth


def _place(choice: Choice, artwork: ListedArtwork) -> Place:
    return Place(getattr(artwork, choice.time), artwork.id)


def _moment(field: str, text: str, of_day: time) -> datetime | None:
    """A date, of which the first or the last moment is meant, or an instant; in UTC unless it says otherwise."""
    if not text:
        return None
    try:
        moment = datetime.combine(date.fromisoformat(text), of_day) if _DATE.fullmatch(text) else _instant(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValidationException(extra=[{"key": field}]) from error


def _instant(text: str) -> datetime:
    # Python alone would read forty digits in a row as an instant.
    if not _INSTANT.fullmatch(text):
        raise ValueError("no date and time of day")
    return datetime.fromisoformat(text)
