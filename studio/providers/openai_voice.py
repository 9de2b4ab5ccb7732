"""OpenAI's speech: a text goes out, and the sound itself is the answer."""

from __future__ import annotations

from studio.errors import OutcomeUnknown
from studio.providers import openai
from studio.providers.interfaces import SpeechRequest
from studio.providers.voices import PaidVoice

_SOUND = ("audio/", "application/octet-stream")


class OpenAIVoice(PaidVoice):
    """It takes no key of ours and keeps nothing: an answer that is lost is lost."""

    name = "openai"
    service = openai
    ending = ".mp3"

    def _make(self, request: SpeechRequest) -> bytes:
        wishes = self._settled(request)
        body = {"model": wishes.model, "input": wishes.text, "voice": wishes.voice, "response_format": "mp3"}
        answer = self._api.buy("POST", "/audio/speech", json=body, model=wishes.model)
        # Whatever else it may be, it is no refusal: those were told apart before.
        if not answer.content or not answer.headers.get("content-type", "").startswith(_SOUND):
            raise OutcomeUnknown
        return answer.content
