"""The animator that needs no service: FFmpeg and a camera over the drawing, in this process."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path
from threading import BoundedSemaphore

import structlog

from studio.errors import NotNow, StudioError
from studio.media import film
from studio.media.ffmpeg import FFmpegFailed
from studio.objects import ObjectStore
from studio.providers.interfaces import AnimationRequest, Lookup, Made, Progress
from studio.scratch import scratch_folder
from studio.settings import Settings

BUSY_S = 2.0
"""When to look again while all seats are taken."""

_log = structlog.get_logger()

# A render keeps two cores busy and more, so further ones at once would only make each of them slower.
_seats = BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))

_AIRBORNE = re.compile(r"\b(fly|flies|flying|flew|float\w*|swim\w*|swam|soar\w*)\b|[飞飘游]", re.IGNORECASE)


class LocalAnimator:
    """Renders when it is looked at. The work costs nothing, repeats itself exactly, and is done once per id."""

    name = "local"
    # FFmpeg has a limit of its own; what a film waits for a seat is not its fault.
    limit_s = None
    is_free = True

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._objects = objects
        self._largest = settings.video_max_bytes
        self._limits = film.Limits(settings.image_max_pixels, settings.audio_max_seconds)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """The id under which `look` will render; nothing is started and nothing is charged."""
        return f"local-{idempotency_key}"

    def estimate(self, request: AnimationRequest) -> int | None:
        return 0

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """The same id again: asking for it twice is asking once."""
        return self.submit(request, idempotency_key=idempotency_key)

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """Render and store the film, unless it is there already. Raises NotNow, StudioError("RENDER_FAILED")."""
        key = f"{request.folder}{provider_id}.mp4"
        if self._objects.head(key) is not None:
            return Made(key)
        if not _seats.acquire(blocking=False):
            # Not `Pending`: a film that has not been begun has used up none of the time that it may take.
            raise NotNow("all seats for rendering are taken", retry_after_s=BUSY_S)
        try:
            self._render(key, request, progress)
        finally:
            _seats.release()
        return Made(key)

    def fetch(self, made: Made, target: Path) -> None:
        """Copy the film into `target`. Raises StudioError("CLIP_UNREADABLE") when it is gone or too large."""
        head = self._objects.head(made.location)
        if head is None or head.size > self._largest:
            raise StudioError("CLIP_UNREADABLE")
        self._objects.download(made.location, target)

    def forget(self, made: Made) -> None:
        """Delete the film; the gallery has its copy."""
        self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Nothing to stop: a film is only made while somebody looks."""

    def _render(self, key: str, request: AnimationRequest, progress: Progress) -> None:
        with ExitStack() as stack:
            target = stack.enter_context(scratch_folder()) / "film.mp4"
            try:
                drawing = stack.enter_context(self._objects.local_copy(request.drawing_key))
                voice = stack.enter_context(self._objects.local_copy(request.voice_key)) if request.voice_key else None
                film.make(
                    drawing,
                    voice,
                    target,
                    title=request.title,
                    airborne=_AIRBORNE.search(request.prompt) is not None,
                    limits=self._limits,
                    progress=progress,
                )
            except FFmpegFailed as error:
                _log.warning("render_failed", returncode=error.returncode, cause=error.cause)
                raise StudioError("RENDER_FAILED") from error
            except StudioError as error:
                _log.warning("render_failed", cause=error.symbol)
                raise StudioError("RENDER_FAILED") from error
            except FileNotFoundError as error:
                _log.warning("render_failed", cause="missing_file")
                raise StudioError("RENDER_FAILED") from error
            self._objects.upload(target, key, mime="video/mp4")
