"""Addresses of media that authorise themselves: whoever has one can read that one object until it expires.

A page of the gallery holds dozens of them, and a browser that shows a picture cannot send a header. To presign each one
for S3 would cost half a millisecond of CPU; these cost a few microseconds, and only the ones that are opened lead to a
presigned address or a stream.
"""

from __future__ import annotations

import hmac
import time
from hashlib import blake2b
from urllib.parse import quote

from studio.errors import StudioError
from studio.settings import Settings


class MediaLinks:
    """Signs with a key of its own that follows from OWNER_KEY, so all web processes make and take the same links."""

    def __init__(self, settings: Settings) -> None:
        self._key = hmac.digest(settings.owner_key.get_secret_value().encode(), b"media links", "sha256")
        self._lifetime_s = settings.presign_expires_s

    def url(self, key: str, mime: str) -> str:
        """Path and query of an address that reads an object as `mime`, for one to two times PRESIGN_EXPIRES_S.

        It stays the same for that setting's time, so that browsers find in their cache what they have seen.
        """
        expires = str((int(time.time()) // self._lifetime_s + 2) * self._lifetime_s)
        return f"/media/{quote(key)}?e={expires}&t={mime}&s={self._signature(key, mime, expires)}"

    def seconds_left(self, key: str, *, mime: str, expires: str, signature: str) -> int:
        """How long an address still works, from its parts as they came.

        Raises StudioError("MEDIA_LINK_EXPIRED"), which says the same of an address that we never made.
        """
        is_ours = hmac.compare_digest(self._signature(key, mime, expires).encode(), signature.encode())
        left_s = int(expires) - int(time.time()) if is_ours else 0
        if left_s <= 0:
            raise StudioError("MEDIA_LINK_EXPIRED")
        return left_s

    def _signature(self, key: str, mime: str, expires: str) -> str:
        # No line break is in a type or a number of ours, so no two links sign the same text.
        text = f"{expires}\n{mime}\n{key}".encode()
        # Keyed by itself and a third of the price of an HMAC, which counts when a page of the gallery has eighty.
        return blake2b(text, key=self._key, digest_size=18).hexdigest()
