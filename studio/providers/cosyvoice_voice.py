"""CosyVoice by Alibaba (DashScope): one call, answered with the address of the sound, which is kept for 24 hours."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from studio.errors import OutcomeUnknown
from studio.providers import dashscope
from studio.providers.at_once import ADDRESS
from studio.providers.interfaces import SpeechRequest
from studio.providers.voices import PaidVoice

PATH = "/services/audio/tts/SpeechSynthesizer"


class _Audio(msgspec.Struct, frozen=True):
    url: str


class _Output(msgspec.Struct, frozen=True):
    audio: _Audio


class _Spoken(msgspec.Struct, frozen=True):
    output: _Output


class CosyVoice(PaidVoice):
    """It takes no key of ours and keeps no list: an answer that is lost is lost."""

    name = "cosyvoice"
    service = dashscope
    ending = ADDRESS

    def _make(self, request: SpeechRequest) -> bytes:
        wishes = self._settled(request)
        # What is left out is chosen by the service and by its SDK in different ways.
        options = {"format": "mp3", "sample_rate": 24_000}
        body = {"model": wishes.model, "input": {"text": wishes.text, "voice": wishes.voice, **options}}
        answer = self._api.buy("POST", PATH, json=body, model=wishes.model)
        try:
            url = msgspec.json.decode(answer.content, type=_Spoken).output.audio.url
        except ValueError as error:
            raise OutcomeUnknown from error
        return self._secured(url).encode()

    def _characters(self, text: str) -> int:
        """A Chinese character counts as two."""
        return sum(2 if "\u2e80" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff" else 1 for letter in text)

    def _secured(self, url: str) -> str:
        """It says http:// of what is there by https:// as well."""
        is_its_own = urlsplit(url)[:2] == urlsplit(self._card.base_url)[:2]
        return url if is_its_own else url.replace("http://", "https://", 1)
