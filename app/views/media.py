"""Media as callers see them."""

from __future__ import annotations

import msgspec

from app.views.links import Links
from app.views.view import View
from studio.media_assets import Kind, MediaAsset
from studio.studio import Studio
from studio.uploads import Door


class MediaAssetView(View, frozen=True, kw_only=True):
    media_asset_id: str
    artwork_id: str
    """The artwork that it was uploaded for, which may not exist yet."""
    kind: str
    key: str
    mime: str
    size: int
    etag: str
    url: str
    thumb_url: str | None
    """A small picture of it: a still of a film, and a drawing itself while its small copy is not there yet."""
    width: int | None
    height: int | None
    duration: float | None
    """Seconds."""
    silent: bool


class ImagesView(View, frozen=True, kw_only=True):
    items: list[MediaAssetView]
    next_cursor: str | None


class UploadedView(MediaAssetView, frozen=True, kw_only=True):
    """An asset, and for a picture what the plans' other front ends look for."""

    success: bool
    image_path: str | None = msgspec.field(name="image_path")
    image_url: str | None = msgspec.field(name="image_url")
    data: dict[str, str] | None


class UploadView(View, frozen=True, kw_only=True):
    key: str
    url: str
    method: str
    headers: dict[str, str]
    """To be sent with the upload exactly as they are; they are part of the signature."""
    expires_in_s: int
    artwork_id: str
    """For the other uploads of the same artwork, and for `POST /artworks`."""


def view_asset(links: Links, asset: MediaAsset) -> MediaAssetView:
    return MediaAssetView(
        media_asset_id=asset.id,
        artwork_id=asset.artwork_id,
        kind=asset.kind,
        key=asset.key,
        mime=asset.mime,
        size=asset.size,
        etag=asset.etag,
        url=links.to(asset),
        thumb_url=links.to_thumb(asset),
        width=asset.width,
        height=asset.height,
        duration=asset.seconds,
        silent=asset.silent,
    )


def view_uploaded(links: Links, asset: MediaAsset) -> UploadedView:
    view = view_asset(links, asset)
    picture = {"image_path": view.key, "image_url": view.url} if asset.kind is Kind.IMAGE else {}
    return UploadedView(
        **msgspec.structs.asdict(view),
        success=True,
        image_path=picture.get("image_path"),
        image_url=picture.get("image_url"),
        data=picture or None,
    )


def view_upload(studio: Studio, door: Door) -> UploadView:
    return UploadView(
        key=door.key,
        url=door.url,
        method="PUT",
        headers=door.headers,
        expires_in_s=studio.settings.presign_expires_s,
        artwork_id=door.artwork_id,
    )
