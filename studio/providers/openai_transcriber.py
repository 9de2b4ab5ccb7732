"""OpenAI's transcription: the recording goes out as a form, and its words come back as the answer."""

from __future__ import annotations

from pathlib import Path

import msgspec

from studio.errors import OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards, openai
from studio.providers.interfaces import Capability, Heard, PaidCall, Pending
from studio.providers.recordings import charge, ready_to_send
from studio.settings import Settings


class _Usage(msgspec.Struct, frozen=True):
    seconds: float | None = None
    """Where it charges by time. It may count tokens instead."""


class _Transcription(msgspec.Struct, frozen=True):
    text: str
    usage: _Usage | None = None


class OpenAITranscriber:
    """It takes no key of ours and keeps nothing that could be looked up: an answer that is lost is lost."""

    name = "openai"
    is_free = False
    repeats_safely = False

    def __init__(self, settings: Settings, _objects: ObjectStore) -> None:
        self._api = openai.api(cards.load(self.name, settings), Capability.TRANSCRIBER)

    def transcribe(self, recording: Path, *, call: PaidCall) -> Heard | Pending:
        """The words; "" where nobody speaks. Raises NotNow, StudioError, OutcomeUnknown."""
        model = self._api.offer.model
        with ready_to_send(recording, self._api, mime="audio/mpeg") as sent:
            # It goes by the name's ending as much as by the type.
            file = (sent.name, sent.read_bytes(), "audio/mpeg")
        # Only this format is offered by every model.
        form = {"model": model, "response_format": "json"}
        answer = self._api.buy("POST", "/audio/transcriptions", data=form, files={"file": file}, model=model)
        try:
            found = msgspec.json.decode(answer.content, type=_Transcription)
        except ValueError as error:
            raise OutcomeUnknown from error
        charge(call, self._api, seconds=found.usage.seconds if found.usage else None)
        return Heard(found.text.strip())
