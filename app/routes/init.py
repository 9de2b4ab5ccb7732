"""`POST /init`: a client says hello and learns what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import post

from app.dependencies import Owner, TheStudio
from app.payloads import STORY_MAX_CHARACTERS
from app.views import View
from studio.media_assets import Kind
from studio.uploads import EXTENSIONS, max_bytes


class InitView(View, frozen=True, kw_only=True):
    registered_at: datetime
    last_seen_at: datetime
    uploads: dict[str, dict[str, Any]]
    """For each kind: `mimeTypes` and `maxBytes`, and what else limits it."""
    form_max_bytes: int
    """Of a file that is sent to `POST /upload`; less than by presign."""
    presign_expires_s: int
    story_max_characters: int


@post("/init", status_code=200, sync_to_thread=True)
def init(owner: Owner, studio: TheStudio) -> InitView:
    """Register the client and tell the limits for its uploads."""
    client, settings = studio.clients.register(owner), studio.settings
    uploads: dict[str, dict[str, Any]] = {
        kind: {"mimeTypes": list(EXTENSIONS[kind]), "maxBytes": max_bytes(settings, kind)} for kind in Kind
    }
    uploads[Kind.IMAGE]["maxPixels"] = settings.image_max_pixels
    uploads[Kind.AUDIO]["maxSeconds"] = settings.audio_max_seconds
    return InitView(
        registered_at=client.created_at,
        last_seen_at=client.last_seen_at,
        uploads=uploads,
        form_max_bytes=settings.proxied_upload_max_bytes,
        presign_expires_s=settings.presign_expires_s,
        story_max_characters=STORY_MAX_CHARACTERS,
    )
