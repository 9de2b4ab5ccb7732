"""The voice that needs no service: espeak-ng, on this machine. It sounds like a robot, and is understood."""

from __future__ import annotations

from pathlib import Path

import structlog

from studio.errors import StudioError
from studio.media import sound, speech
from studio.objects import ObjectStore
from studio.providers.interfaces import Lookup, Made, Progress, SpeechRequest
from studio.scratch import scratch_folder
from studio.settings import Settings

_log = structlog.get_logger("studio")


class LocalVoice:
    """Speaks when it is looked at. The work costs nothing, repeats itself exactly, and is done once per id."""

    name = "local"
    limit_s = None
    is_free = True

    def __init__(self, _settings: Settings, objects: ObjectStore) -> None:
        self._objects = objects

    def estimate(self, request: SpeechRequest) -> int | None:
        return 0

    def submit(self, request: SpeechRequest, *, idempotency_key: str) -> str:
        """The id under which `look` will speak; nothing is started and nothing is charged."""
        return f"local-{idempotency_key}"

    def reconcile(self, request: SpeechRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """The same id again: asking for it twice is asking once."""
        return self.submit(request, idempotency_key=idempotency_key)

    def look(self, provider_id: str, request: SpeechRequest, *, progress: Progress) -> Lookup:
        """Speak, unless it was spoken already. It has one voice for each language, whatever the request names.

        Raises NotNow, StudioError("RENDER_FAILED").
        """
        key = f"{request.folder}{provider_id}.m4a"
        if self._objects.head(key) is None:
            with scratch_folder() as folder:
                self._objects.upload(_spoken(request, folder), key, mime="audio/mp4")
        progress(1.0)
        return Made(key)

    def fetch(self, made: Made, target: Path) -> None:
        """Copy what was spoken into `target`. Raises NotNow, StudioError("CLIP_GONE")."""
        try:
            self._objects.download(made.location, target)
        except FileNotFoundError as error:
            raise StudioError("CLIP_GONE") from error

    def forget(self, made: Made) -> None:
        """Delete it; who asked has a copy."""
        self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Nothing to stop: it only speaks while somebody looks."""


def _spoken(request: SpeechRequest, folder: Path) -> Path:
    try:
        speech.speak(request.text, folder / "spoken.wav", language=request.language)
        return sound.transcoded(folder / "spoken.wav", folder / "spoken.m4a", mime="audio/mp4")
    except speech.SpeakingFailed as error:
        _log.warning("speaking_failed", cause=error.cause)
        raise StudioError("RENDER_FAILED") from error
