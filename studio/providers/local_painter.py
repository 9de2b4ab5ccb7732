"""The painter that needs no service: a drawn card with the words of the scene, as on the wall of a film studio."""

from __future__ import annotations

import re
from pathlib import Path

from studio.errors import StudioError
from studio.media import storyboard
from studio.objects import ObjectStore
from studio.providers import clip_prompts
from studio.providers.interfaces import Lookup, Made, PaintingRequest, Progress
from studio.scratch import scratch_folder
from studio.settings import Settings

SIZE = (1024, 768)
"""Where a request names none."""
_LEAST, _MOST = 256, 2048
_MOST_CHARS = 400


class LocalPainter:
    """Draws when it is looked at. The work costs nothing, repeats itself exactly, and is done once per id."""

    name = "local"
    limit_s = None
    is_free = True

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._objects = objects

    def estimate(self, request: PaintingRequest) -> int | None:
        return 0

    def submit(self, request: PaintingRequest, *, idempotency_key: str) -> str:
        """The id under which `look` will draw; nothing is started and nothing is charged."""
        return f"local-{idempotency_key}"

    def reconcile(self, request: PaintingRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """The same id again: asking for it twice is asking once."""
        return self.submit(request, idempotency_key=idempotency_key)

    def look(self, provider_id: str, request: PaintingRequest, *, progress: Progress) -> Lookup:
        """Draw and store the card, unless it is there already."""
        key = f"{request.folder}{provider_id}.png"
        if self._objects.head(key) is None:
            caption = clip_prompts.for_model(request.prompt, _MOST_CHARS)
            card = storyboard.card(_size(request.size), caption, request.language)
            with scratch_folder() as folder:
                card.save(folder / "card.png", "PNG")
                self._objects.upload(folder / "card.png", key, mime="image/png")
        return Made(key)

    def fetch(self, made: Made, target: Path) -> None:
        """Copy the card into `target`. Raises StudioError("CLIP_GONE")."""
        try:
            self._objects.download(made.location, target)
        except FileNotFoundError as error:
            raise StudioError("CLIP_GONE") from error

    def forget(self, made: Made) -> None:
        """Delete the card; the gallery has its copy."""
        self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Nothing to stop: a card is only drawn while somebody looks."""


def _size(asked: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", asked)
    if match is None:
        return SIZE
    return min(_MOST, max(_LEAST, int(match[1]))), min(_MOST, max(_LEAST, int(match[2])))
