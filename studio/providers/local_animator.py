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
from studio.providers.interfaces import AnimationRequest, Made, Progress
from studio.providers.makes_here import MakesHere
from studio.settings import Settings

BUSY_S = 2.0
"""When to look again while all seats are taken."""

_log = structlog.get_logger()

# A render keeps two cores busy and more, so further ones at once would only make each of them slower.
_seats = BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))

_AIRBORNE = re.compile(r"\b(fly|flies|flying|flew|float\w*|swim\w*|swam|soar\w*)\b|[飞飘游]", re.IGNORECASE)


class LocalAnimator(MakesHere[AnimationRequest]):
    """Renders. FFmpeg has a limit of its own, and what a film waits for a seat is not its fault."""

    ending = ".mp4"
    mime = "video/mp4"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        super().__init__(settings, objects)
        self._largest = settings.video_max_bytes
        self._limits = film.Limits(settings.image_max_pixels, settings.audio_max_seconds)

    def fetch(self, made: Made, target: Path) -> None:
        """Copy the film into `target`. Raises StudioError("CLIP_UNREADABLE") too, when it is too large."""
        head = self._objects.head(made.location)
        if head is not None and head.size > self._largest:
            raise StudioError("CLIP_UNREADABLE")
        super().fetch(made, target)

    def _make(self, request: AnimationRequest, folder: Path, progress: Progress) -> Path:
        if not _seats.acquire(blocking=False):
            # Not `Pending`: a film that has not been begun has used up none of the time that it may take.
            raise NotNow("all seats for rendering are taken", retry_after_s=BUSY_S)
        try:
            return self._rendered(request, folder / "film.mp4", progress)
        except FFmpegFailed as error:
            _log.warning("render_failed", returncode=error.returncode, cause=error.cause)
            raise StudioError("RENDER_FAILED") from error
        except StudioError as error:
            _log.warning("render_failed", cause=error.symbol)
            raise StudioError("RENDER_FAILED") from error
        except FileNotFoundError as error:
            _log.warning("render_failed", cause="missing_file")
            raise StudioError("RENDER_FAILED") from error
        finally:
            _seats.release()

    def _rendered(self, request: AnimationRequest, target: Path, progress: Progress) -> Path:
        with ExitStack() as stack:
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
        return target
