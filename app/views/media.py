"""Media as callers see them."""

from __future__ import annotations

from app.views.links import Links
from app.views.view import View
from studio.media_assets import MediaAsset


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
