"""The interfaces of the outside services, and the frozen records that pass through them.

Some answer at once with words (`Transcriber`, `Writer`, `Seer`), others make something that takes its time: each of
those is a `Maker`, asked once, looked at until it is there, and fetched (`Animator`, `Painter`, `Voice`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

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
    PAINTER = "painter"
    VOICE = "voice"


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


class ClipFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a clip is to be, in full: each value is one that the model's card offers, "" where it offers no choice."""

    model: str
    """As the provider names it."""
    seconds: int
    """How long it lasts."""
    ratio: str = ""
    """Width to height, as people say it: 16:9. `adaptive` where the service follows the drawing."""
    resolution: str = ""
    """As people say it: 720p."""


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
    format: ClipFormat | None = None
    """Where the provider's card offers formats."""
    callback_url: str | None = None
    """Where a service may say that something has changed; None where this deployment has no public address."""


class PaintingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a painter needs."""

    folder: str
    """A part of the bucket, ending in "/", where the provider may put what it makes."""
    prompt: str
    """What should be seen."""
    language: Language
    """Of the words in it."""
    model: str
    """As the provider names it; one that its card offers."""
    size: str
    """Width and height in pixels, 1024x1024; one that the model's card offers."""
    seed: int | None = None
    """For pictures that resemble each other, where the service has such a thing."""
    callback_url: str | None = None


class SpeechRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a voice needs."""

    folder: str
    """A part of the bucket, ending in "/", where the provider may put what it makes."""
    text: str
    """What is to be said."""
    language: Language
    """Of the text."""
    model: str
    """As the provider names it; one that its card offers."""
    voice: str
    """One that the model's card offers."""
    callback_url: str | None = None


class Pending(msgspec.Struct, frozen=True):
    """Not there yet. `look_again_s`: when the provider would like to be asked again; None leaves it to us."""

    progress: float | None = None
    look_again_s: float | None = None


class Made(msgspec.Struct, frozen=True):
    """What was asked for is there. `location` is a URL, or whatever the same maker's `fetch` understands.

    `micros` is what the service says that it cost, in millionths of its card's currency; None where it says nothing.
    """

    location: str
    micros: int | None = None


Lookup = Pending | Made


@dataclass(slots=True)
class PaidCall:
    """A call that is answered at once, by who makes it: its key, and what the service says that it cost."""

    key: str
    """The same on every attempt."""
    micros: int | None = None
    """Millionths of the card's currency, of all that was sent to get one answer; None while nothing was reported."""

    def charge(self, micros: int) -> None:
        """Add what one request was reported to cost."""
        self.micros = (self.micros or 0) + micros


class Heard(msgspec.Struct, frozen=True):
    """What a transcriber made of a recording."""

    text: str | None
    """The words; "" when nobody speaks, None when this transcriber cannot tell them."""


class Provider(Protocol):
    """What all of them have."""

    name: str
    """The one in the settings."""
    is_free: bool
    """Nothing is charged, whatever it accepts: no intent is stored before a call."""


class Answerer(Provider, Protocol):
    """One that answers at once.

    A call that is paid is only made after its intent has been stored. It raises NotNow and StudioError only where
    nothing was charged, and OutcomeUnknown where the answer was lost.
    """

    repeats_safely: bool
    """The same key is the same call: asked again it is not charged again, and answers what it would have."""


class Transcriber(Answerer, Protocol):
    def transcribe(self, recording: Path, *, call: PaidCall) -> Heard | Pending:
        """The words of a recording, in whatever format it is. Pending: the same call again brings them later."""


class Writer(Answerer, Protocol):
    def refine(self, story: str | None, *, title: str, language: Language, call: PaidCall) -> Words:
        """Tidy a story and say how its picture should move. `story` is None when only a voice tells it.

        Raises StudioError("CONTENT_REJECTED") and StudioError("ANSWER_UNREADABLE").
        """


class Seer(Answerer, Protocol):
    def read(self, drawing: Path, *, story: str | None, call: PaidCall) -> Reading:
        """Describe a drawing. Raises StudioError("IMAGE_UNREADABLE"), and what a writer raises."""


R_contra = TypeVar("R_contra", contravariant=True)


class Maker(Provider, Protocol[R_contra]):
    """Makes something that takes its time: submit once, look until it is there, fetch, forget.

    `submit` is only called after the intent has been stored, and with the same `idempotency_key` on every attempt. A
    service that answers at once with what it made is a maker too: its `submit` puts that into the request's folder.
    """

    limit_s: float | None
    """What is not there this long after it was asked for will never come; None where it always does."""

    def estimate(self, request: R_contra) -> int | None:
        """What it will cost at most, in millionths of the card's currency; None where no price is known."""

    def submit(self, request: R_contra, *, idempotency_key: str) -> str:
        """Ask for it and return the provider's id for it.

        Raises NotNow and StudioError only where the provider surely did not accept, OutcomeUnknown everywhere else.
        """

    def reconcile(self, request: R_contra, *, idempotency_key: str, age_s: float) -> str | None:
        """After a lost answer, `age_s` after the call was made: the id of what was accepted under this key.

        None when surely nothing was. Raises NotNow while that cannot be told yet, and OutcomeUnknown when the provider
        offers no way to know.
        """

    def look(self, provider_id: str, request: R_contra, *, progress: Progress) -> Lookup:
        """See how far it is. Raises NotNow, and StudioError when the provider gave up."""

    def fetch(self, made: Made, target: Path) -> None:
        """Bring it into `target`, never larger than the settings allow. Raises NotNow, StudioError.

        Raises StudioError("CLIP_GONE") where it is no longer kept under this address; a look may tell another one.
        """

    def forget(self, made: Made) -> None:
        """It is in our gallery: what was kept of it on the way may go. One that is gone is no error."""

    def cancel(self, provider_id: str) -> None:
        """Stop if it can be stopped; what is unknown or already finished is no error. Raises NotNow."""


@runtime_checkable
class Recognising(Protocol[R_contra]):
    """A maker that can tell whether something it has was asked for by a call of ours."""

    def recognises(self, provider_id: str, request: R_contra, *, idempotency_key: str) -> bool:
        """Whether this id is of that call: a callback may tell an id, and be a lie. Raises NotNow."""


class Animator(Maker[AnimationRequest], Protocol):
    """Turns a drawing and words into a clip."""


class Painter(Maker[PaintingRequest], Protocol):
    """Turns words into a picture."""


class Voice(Maker[SpeechRequest], Protocol):
    """Turns words into speech."""
