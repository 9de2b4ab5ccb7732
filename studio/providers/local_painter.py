"""The painter that needs no service: a drawn card with the words of the scene, as on the wall of a film studio."""

from __future__ import annotations

import re
from pathlib import Path

from studio.media import storyboard
from studio.providers import clip_prompts
from studio.providers.interfaces import PaintingRequest, Progress
from studio.providers.makes_here import MakesHere

SIZE = (1024, 768)
"""Where a request names none."""
_LEAST, _MOST = 256, 2048
_MOST_CHARS = 400


class LocalPainter(MakesHere[PaintingRequest]):
    """Draws a card."""

    ending = ".png"
    mime = "image/png"

    def _make(self, request: PaintingRequest, folder: Path, progress: Progress) -> Path:
        caption = clip_prompts.for_model(request.prompt, _MOST_CHARS)
        card = storyboard.card(_size(request.size), caption, request.language)
        card.save(folder / "card.png", "PNG")
        return folder / "card.png"


def _size(asked: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", asked)
    if match is None:
        return SIZE
    return min(_MOST, max(_LEAST, int(match[1]))), min(_MOST, max(_LEAST, int(match[2])))
