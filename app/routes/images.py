"""`GET /images`: a client's pictures, whatever became of them."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from app.cursors import cursor_of, read_cursor
from app.dependencies import Owner, TheLinks, TheStudio
from app.openapi import refusals
from app.views import ImagesView, view_asset


@get("/images", responses=refusals("CURSOR_INVALID"))
async def list_images(
    owner: Owner,
    studio: TheStudio,
    links: TheLinks,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
) -> ImagesView:
    """The client's pictures, newest first."""
    after = read_cursor(cursor) if cursor else None
    found = await studio.media_assets.list_pictures(owner, after=after, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].created_at, page[-1].id) if len(found) > limit else None
    return ImagesView(items=[view_asset(links, asset) for asset in page], next_cursor=next_cursor)
