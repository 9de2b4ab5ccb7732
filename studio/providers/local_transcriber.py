"""The transcriber that needs no service: it cannot tell the words, and says so."""

from __future__ import annotations

from pathlib import Path

from studio.objects import ObjectStore
from studio.providers.interfaces import Heard, PaidCall, Pending
from studio.settings import Settings


class LocalTranscriber:
    """No recogniser that runs offline hears a child well enough, least of all in Chinese, for people to see it."""

    name = "local"
    is_free = True
    repeats_safely = True

    def __init__(self, _settings: Settings, _objects: ObjectStore) -> None:
        pass

    def transcribe(self, recording: Path, *, call: PaidCall | None = None) -> Heard | Pending:
        """It cannot tell: the recording itself is the narration."""
        return Heard(None)
