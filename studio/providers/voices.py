"""What the voices that are paid have in common: they answer at once, and are asked for what their card offers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

from studio.errors import StudioError
from studio.media import sound
from studio.objects import ObjectStore
from studio.providers import cards
from studio.providers.api import Service
from studio.providers.at_once import MakesAtOnce
from studio.providers.cards import VoiceModel, VoiceOffer
from studio.providers.downloads import Downloads
from studio.providers.interfaces import Capability, SpeechRequest
from studio.settings import Settings

LONGEST_S = 3600
"""Of what is spoken: longer than any text that a card lets through."""


class PaidVoice(MakesAtOnce[SpeechRequest]):
    """A voice with a card of the same name."""

    name: str
    service: Service
    is_free = False

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._card = cards.load(self.name, settings)
        self._offer = cast("VoiceOffer", self._card.offer(Capability.VOICE))
        self._api = self.service.api(self._card, Capability.VOICE)
        self._objects = objects
        self._downloads = Downloads(home=self._card.base_url, max_bytes=settings.audio_max_bytes)
        self._unknown_for_s = self._offer.unknown_for_s
        self.limit_s: float | None = self._offer.limit_s

    def estimate(self, request: SpeechRequest) -> int | None:
        """The price of its characters, as the service counts them, in millionths of the card's currency."""
        price = self._model(request).micros_per_1000_chars
        return None if price is None else math.ceil(self._characters(request.text) * price / 1000)

    def _characters(self, text: str) -> int:
        """How many characters of a text are charged."""
        return len(text)

    def _model(self, request: SpeechRequest) -> VoiceModel:
        return cards.model_named(self._card, Capability.VOICE, self._offer.models, request.model)

    def _settled(self, request: SpeechRequest) -> SpeechRequest:
        """The request, where the card offers what it asks for.

        A text that is too long is refused, and not cut or spoken in parts: a call that is made of several may come to
        be paid and lost in the middle. Whoever asks knows better where a story can be parted.

        Raises StudioError("MODEL_UNKNOWN"), StudioError("CLIP_NOT_OFFERED") with what is offered.
        """
        model = self._model(request)
        voices = [voice for offered in model.voices.values() for voice in offered]
        if request.voice not in voices:
            nearest = ", ".join(dict.fromkeys(model.voices.get(request.language, ()))) or "–"
            raise self._not_offered(request, "voice", request.voice[:20], nearest)
        if len(request.text) > model.text_max_chars:
            raise self._not_offered(request, "characters", str(len(request.text)), str(model.text_max_chars))
        return request

    def _not_offered(self, request: SpeechRequest, field: str, value: str, nearest: str) -> StudioError:
        return StudioError(
            "CLIP_NOT_OFFERED",
            provider=self._card.title,
            model=request.model,
            field=field,
            value=value,
            nearest=nearest,
        )

    def _check(self, file: Path) -> None:
        check(file)


def check(file: Path) -> None:
    """Raises StudioError("CLIP_UNREADABLE") unless it is sound that decodes."""
    try:
        sound.inspect(file, max_seconds=LONGEST_S)
    except StudioError as error:
        raise StudioError("CLIP_UNREADABLE") from error
