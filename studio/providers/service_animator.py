"""What the animators of outside services have in common: their card, the drawing and the prompt in its limits, the
price, and bringing the clip home."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.media.fitting import fit
from studio.objects import ObjectStore
from studio.providers import cards, clip_prompts
from studio.providers.cards import Card, ClipModel, ClipOffer
from studio.providers.downloads import Downloads
from studio.providers.interfaces import AnimationRequest, Capability, ClipFormat, Made
from studio.settings import Settings

LOOK_UP_EVERY_S = 5.0
"""How often a call whose answer was lost is looked up."""
LOOKED_UP_FOR_S = 7 * 24 * 3600.0
"""How long: Ark's list tells of a task for a week, and of the others none is known to do so for less."""

# It becomes a part of addresses.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ServiceAnimator:
    """An animator behind HTTP. Clips are described by `request.format`, which the caller settles by the card."""

    name: ClassVar[str]

    def __init__(self, card: Card, settings: Settings, objects: ObjectStore) -> None:
        if card.animator is None:
            raise LookupError(f"{card.name} is no animator")
        self.card = card
        self.offer: ClipOffer = card.animator
        self.is_free = card.is_free
        self.limit_s: float | None = self.offer.limit_s
        self._objects = objects
        self._max_pixels = settings.image_max_pixels
        self._downloads = Downloads(card.base_url, max_bytes=settings.video_max_bytes)

    def estimate(self, request: AnimationRequest) -> int | None:
        """What the clip costs by the card, in micros. Raises StudioError("MODEL_UNKNOWN")."""
        clip, model = self.chosen(request)
        price = model.micros_per_second.get(clip.resolution)
        return None if price is None else price * clip.seconds

    def fetch(self, made: Made, target: Path) -> None:
        """Download the clip. Raises NotNow, StudioError("CLIP_GONE"), StudioError("CLIP_UNREADABLE")."""
        self._downloads.fetch(made.location, target)

    def forget(self, made: Made) -> None:
        """Services drop what they have made by themselves."""

    def chosen(self, request: AnimationRequest) -> tuple[ClipFormat, ClipModel]:
        """What is to be made, and what the card tells of its model. Raises StudioError("MODEL_UNKNOWN")."""
        if request.format is None:
            raise StudioError("INTERNAL")
        clip = request.format
        return clip, cards.model_named(self.card, Capability.ANIMATOR, self.offer.models, clip.model)

    def prompt(self, request: AnimationRequest, model: ClipModel) -> str:
        """The prompt as this model may have it."""
        return clip_prompts.for_model(request.prompt, model.prompt_max_chars)

    def drawing(self, request: AnimationRequest, model: ClipModel) -> str:
        """The drawing as a JPEG in base64. Raises NotNow, StudioError."""
        try:
            with self._objects.local_copy(request.drawing_key) as path:
                picture = fit(path, model.picture, max_pixels=self._max_pixels)
        except FileNotFoundError as error:
            raise StudioError("NO_DRAWING") from error
        return base64.b64encode(picture).decode()

    def micros(self, units: object) -> int | None:
        """What the service's own units come to, in micros, rounded up; None where no price is known for them.

        None at all is free at any price.
        """
        price = self.offer.micros_per_unit
        if isinstance(units, bool) or not isinstance(units, (int, float, str)):
            return None
        try:
            charged = Decimal(str(units))
            if price is None:
                return 0 if charged == 0 else None
            return max(0, math.ceil(charged * price))
        except (ArithmeticError, ValueError):
            return None

    @contextmanager
    def looking_up(self, age_s: float) -> Iterator[None]:
        """Around a lookup of a call: where the service refuses it, that says nothing of the call, and is waited out.

        Raises Away then, and OutcomeUnknown where nobody waits any longer.
        """
        if age_s > LOOKED_UP_FOR_S:
            raise OutcomeUnknown
        try:
            yield
        except StudioError as error:
            raise Away(f"{self.name}: {error.symbol}") from error

    def unless_it_turns_up(self, age_s: float) -> None:
        """Return when a call that no lookup knows was surely never accepted. Raises NotNow while it may turn up."""
        left_s = self.offer.unknown_for_s - age_s
        if left_s > 0:
            raise NotNow(f"{self.name} may know of it later", retry_after_s=min(left_s, LOOK_UP_EVERY_S))


def accepted_id(found: object) -> str:
    """The id in the answer to a paid request. Raises OutcomeUnknown where there is none that can be used."""
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise OutcomeUnknown
    return found
