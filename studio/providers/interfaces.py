"""The interfaces of the outside services, and the frozen records that pass through them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from studio.language import Language

Progress = Callable[[float], None]
"""Told the fraction done, from 0 to 1, as often as the provider likes."""


class Capability(StrEnum):
    """What a provider can do."""

    TRANSCRIBER = "transcriber"
    WRITER = "writer"
    ANIMATOR = "animator"
    SEER = "seer"


class Words(msgspec.Struct, frozen=True):
    """What a writer makes of a child's story."""

    narration: str
    """The story, tidied, in the child's own words and language."""
    prompt: str
    """What should be seen and how it should move, for the animator."""
    language: Language
    """Of the narration."""
    method: str
    """How the words were made, in a few words that people may read."""


class Region(msgspec.Struct, frozen=True):
    """A part of a drawing. `box` is (left, top, width, height) in fractions of the picture, 0 to 1."""

    box: tuple[float, float, float, float]
    """(left, top, width, height)"""
    label: dict[Language, str]
    """What it looks like, by language."""
    color: str
    """The region's leading colour as #rrggbb."""
    share: float
    """How much of the picture it covers, 0 to 1."""


class Swatch(msgspec.Struct, frozen=True):
    color: str
    """#rrggbb"""
    name: dict[Language, str]
    """Of the colour, by language."""
    share: float
    """Of the drawn area, 0 to 1; the shares of a palette add up to 1 at most."""


class Score(msgspec.Struct, frozen=True):
    """A measured property of one drawing, 0 to 100. It describes; it neither ranks nor diagnoses."""

    value: int
    """0 to 100."""
    label: dict[Language, str]
    """What it is called, by language."""
    method: dict[Language, str]
    """How it was measured, by language."""


class Reading(msgspec.Struct, frozen=True):
    """What can be said about a drawing from its pixels and its story."""

    summary: dict[Language, str]
    """A sentence or two, by language."""
    tags: list[dict[Language, str]]
    """What strikes the eye, each by language."""
    palette: list[Swatch]
    """The leading colours, the most used first."""
    regions: list[Region]
    """The parts that stand out."""
    scores: dict[str, Score]
    """What was measured, by its name."""
    coverage: float
    """How much of the paper is drawn on, 0 to 1."""
    method: str
    """Who read it."""


class AnimationRequest(msgspec.Struct, frozen=True):
    """All that an animator needs. Objects are keys in our bucket, so that the request can be stored."""

    drawing_key: str
    """The drawing's object."""
    voice_key: str | None
    """The recording's object; None where nobody speaks."""
    folder: str
    """A part of the bucket, ending in "/", where the provider may put what it makes on the way."""
    title: str
    """For the title card."""
    prompt: str
    """What should be seen and how it should move."""
    language: Language
    """Of the words in it."""


class Pending(msgspec.Struct, frozen=True):
    """Not there yet. `look_again_s`: when the provider would like to be asked again; None leaves it to us."""

    progress: float | None = None
    look_again_s: float | None = None


class Clip(msgspec.Struct, frozen=True):
    """A finished clip; `location` is a URL, or whatever the same animator's `fetch` understands."""

    location: str


Lookup = Pending | Clip


class Transcriber(Protocol):
    name: str

    def transcribe(self, recording: Path) -> str | None:
        """The words of a recording, or None when this transcriber cannot tell them."""


class Writer(Protocol):
    name: str

    def refine(self, story: str | None, *, title: str, language: Language) -> Words:
        """Tidy a story and say how its picture should move. `story` is None when only a voice tells it."""


class Seer(Protocol):
    name: str

    def read(self, drawing: Path, *, story: str | None) -> Reading:
        """Describe a drawing. Raises StudioError("IMAGE_UNREADABLE")."""


class Animator(Protocol):
    """Turns a drawing into a clip: submit once, look until it is there, fetch, forget.

    `submit` is only called after the intent has been stored, and with the same `idempotency_key` on every attempt.
    """

    name: str
    limit_s: float | None
    """A clip that is not there this long after it was asked for will never come; None where it always does."""
    is_free: bool
    """Nothing is charged, whatever it accepts."""

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Ask for a clip and return the provider's id for it.

        Raises NotNow and StudioError only where the provider surely did not accept, OutcomeUnknown everywhere else.
        """

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str) -> str | None:
        """After a lost answer: the id of what was accepted under this key, None when surely nothing was.

        Raises OutcomeUnknown when the provider offers no way to know.
        """

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See how far it is. Raises NotNow, and StudioError when the provider gave up."""

    def fetch(self, clip: Clip, target: Path) -> None:
        """Bring the clip into `target`, never larger than the settings allow. Raises NotNow, StudioError."""

    def forget(self, clip: Clip) -> None:
        """The clip is in our gallery: what was kept of it on the way may go. One that is gone is no error."""

    def cancel(self, provider_id: str) -> None:
        """Stop if it can be stopped; a clip that is unknown or already finished is no error. Raises NotNow."""
