"""What the painters that are paid have in common: a card, a price, a prompt, and a look at what comes back."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import cast

from studio.errors import StudioError
from studio.media import images
from studio.objects import ObjectStore
from studio.providers import cards, clip_prompts
from studio.providers.api import Service
from studio.providers.cards import PictureModel, PictureOffer
from studio.providers.downloads import Downloads
from studio.providers.interfaces import Capability, PaintingRequest
from studio.settings import Settings


class PaidPainter:
    """A painter with a card of the same name."""

    name: str
    service: Service
    is_free = False

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        card = cards.load(self.name, settings)
        self.limit_s: float | None = card.offer(Capability.PAINTER).limit_s
        self._card = card
        self._offer = cast("PictureOffer", card.offer(Capability.PAINTER))
        self._api = self.service.api(card, Capability.PAINTER)
        self._objects = objects
        self._max_pixels = settings.image_max_pixels
        self._unknown_for_s = self._offer.unknown_for_s
        self._downloads = Downloads(home=card.base_url, max_bytes=settings.image_max_bytes)

    def estimate(self, request: PaintingRequest) -> int | None:
        """The price of one picture, in millionths of the card's currency."""
        return self._model(request).micros_per_picture

    def _model(self, request: PaintingRequest) -> PictureModel:
        return cards.model_named(self._card, Capability.PAINTER, self._offer.models, request.model)

    def _prompt(self, request: PaintingRequest) -> str:
        return clip_prompts.for_model(request.prompt, self._model(request).prompt_max_chars)

    def _size(self, request: PaintingRequest) -> str:
        """The size, where the model offers it. Raises StudioError("CLIP_NOT_OFFERED") with the nearest that it does."""
        sizes = self._model(request).sizes
        if request.size in sizes:
            return request.size
        wanted = _pixels(request.size)
        raise StudioError(
            "CLIP_NOT_OFFERED",
            provider=self._card.title,
            model=request.model,
            field="size",
            value=request.size[:20],
            nearest=", ".join(sorted(sizes, key=lambda size: math.dist(_pixels(size), wanted))[:2]),
        )

    def _check(self, picture: Path) -> None:
        check(picture, max_pixels=self._max_pixels)


def check(picture: Path, *, max_pixels: int) -> None:
    """Raises StudioError("CLIP_UNREADABLE") unless every pixel decodes."""
    try:
        with images.upright(picture, at_least=images.MAX_SIDE, max_pixels=max_pixels):
            pass
    except StudioError as error:
        raise StudioError("CLIP_UNREADABLE") from error


def _pixels(size: str) -> tuple[int, int]:
    """Width and height; those of a size that is none are those of the smallest picture."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    return (int(match[1]), int(match[2])) if match else (0, 0)
