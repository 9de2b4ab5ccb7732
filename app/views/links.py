"""Addresses of media as callers get them."""

from __future__ import annotations

from studio.exports import Export
from studio.media_assets import Kind, MediaAsset, ShownAsset
from studio.media_links import MediaLinks

STILL_MIME = "image/jpeg"
ARCHIVE_MIME = "application/zip"


class Links:
    """Makes whole addresses for one caller. `base` is where the caller reaches us: scheme, host and port."""

    def __init__(self, media_links: MediaLinks, base: str) -> None:
        self._media_links = media_links
        self._base = base

    def to(self, asset: MediaAsset | ShownAsset) -> str:
        return self._base + self._media_links.url(asset.key, asset.mime)

    def to_archive(self, export: Export) -> str:
        """Browsers save what is behind it."""
        return f"{self._base}{self._media_links.url(export.key, ARCHIVE_MIME)}&download=1"

    def to_poster(self, film: MediaAsset | ShownAsset) -> str | None:
        return self._still(film.poster_key)

    def to_thumb(self, asset: MediaAsset | ShownAsset) -> str | None:
        """A small picture of an asset; the picture itself until there is one, and nothing for sound."""
        if small := self._still(asset.thumb_key or asset.poster_key):
            return small
        return self.to(asset) if asset.kind is Kind.IMAGE else None

    def _still(self, key: str | None) -> str | None:
        return self._base + self._media_links.url(key, STILL_MIME) if key else None
