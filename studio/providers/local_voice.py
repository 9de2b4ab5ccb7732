"""The voice that needs no service: espeak-ng, on this machine. It sounds like a robot, and is understood."""

from __future__ import annotations

from pathlib import Path

import structlog

from studio.errors import StudioError
from studio.media import sound, speech
from studio.providers.interfaces import Progress, SpeechRequest
from studio.providers.makes_here import MakesHere

_log = structlog.get_logger("studio")


class LocalVoice(MakesHere[SpeechRequest]):
    """Speaks. It has one voice for each language, whatever the request names."""

    ending = ".m4a"
    mime = "audio/mp4"

    def _make(self, request: SpeechRequest, folder: Path, progress: Progress) -> Path:
        try:
            speech.speak(request.text, folder / "spoken.wav", language=request.language)
            return sound.transcoded(folder / "spoken.wav", folder / "spoken.m4a", mime="audio/mp4")
        except speech.SpeakingFailed as error:
            _log.warning("speaking_failed", cause=error.cause)
            raise StudioError("RENDER_FAILED") from error
