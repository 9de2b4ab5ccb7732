"""`POST /init`: a client says hello and learns what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import post

from app.dependencies import Owner, TheLimits, TheStudio, TheTokens
from app.payloads import STORY_MAX_CHARACTERS
from app.views import View
from studio.media_assets import Kind
from studio.settings import AuthMode
from studio.uploads import EXTENSIONS, max_bytes


class RateLimitView(View, frozen=True, kw_only=True):
    calls: int
    window_s: int


class InitView(View, frozen=True, kw_only=True):
    registered_at: datetime
    last_seen_at: datetime
    uploads: dict[str, dict[str, Any]]
    """For each kind: `mimeTypes` and `maxBytes`, and what else limits it."""
    form_max_bytes: int
    """Of a file that is sent to `POST /upload`; less than by presign."""
    presign_expires_s: int
    story_max_characters: int
    rate_limits: dict[str, RateLimitView]
    """Of `changes`, `uploads` and `jobs`; empty where nothing is limited."""
    token: str | None
    """For `Authorization: Bearer` of every other call, where the deployment wants that."""
    token_expires_at: datetime | None


@post("/init", status_code=200, sync_to_thread=True, takes_client_id=True)
def init(owner: Owner, studio: TheStudio, tokens: TheTokens, limits: TheLimits) -> InitView:
    """Register the client and tell the limits for what it may send and how often."""
    client, settings = studio.clients.register(owner), studio.settings
    token = tokens.issue(owner) if settings.auth_mode is AuthMode.TOKEN else None
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
        rate_limits={
            calls: RateLimitView(calls=limit.calls, window_s=limit.window_s)
            for calls, limit in limits.by_client.items()
            if limits.is_on
        },
        token=token.text if token else None,
        token_expires_at=token.expires_at if token else None,
    )
