"""What a report knows of an artwork: itself, the reading of its drawing, how long its story is, what shows it."""

from __future__ import annotations

from dataclasses import dataclass

from studio.artworks import Artwork
from studio.language import count_words
from studio.media_assets import MediaAsset
from studio.providers.interfaces import Reading


@dataclass(frozen=True, slots=True)
class Work:
    artwork: Artwork
    reading: Reading | None
    """None until the drawing was read."""
    voice_s: float = 0.0
    """Length of the recording in which the story is told; 0 without one, and for one in which nothing can be heard."""
    shown: MediaAsset | None = None
    """What stands for it in a list: its drawing, or its film where there is no drawing."""

    @property
    def id(self) -> str:
        return self.artwork.id

    @property
    def words(self) -> int:
        """Length of the story as the child has it: what was typed or heard, not what was made of it."""
        return count_words(self.artwork.story or "")

    @property
    def is_told(self) -> bool:
        """Whether there is a story, in writing or as a recording."""
        return self.words > 0 or self.voice_s > 0

    @property
    def has_film(self) -> bool:
        return self.artwork.video_asset_id is not None
