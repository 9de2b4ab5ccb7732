"""Writers and seers that are chat models: what they have in common, whatever the service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec
import structlog

from studio.errors import NotNow, StudioError
from studio.language import Language, words_of
from studio.media.fitting import fit
from studio.objects import ObjectStore
from studio.providers import cards, chat_seeing, chat_writing
from studio.providers.api import Api
from studio.providers.cards import TextModel, TextOffer
from studio.providers.chat_questions import Ending, Question, Said, Wrong
from studio.providers.interfaces import Capability, PaidCall, Reading, Words
from studio.providers.local_seer import LocalSeer
from studio.providers.local_writer import LocalWriter
from studio.settings import Settings

A = TypeVar("A", bound=msgspec.Struct)

JSON_SCHEMA = "json_schema"
"""The trait of a model that can be held to a schema."""
JSON_OBJECT = "json_object"
"""The trait of a model that can be held to JSON, of whatever form. Others are asked for it in words."""

log = structlog.get_logger("studio")


class ChatModel(ABC):
    """Asks once, and once more where the answer is of no use, telling what is wrong with it."""

    name: ClassVar[str]
    repeats_safely = False

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self.card = cards.load(self.name, settings)
        self.is_free = self.card.is_free
        self._max_pixels = settings.image_max_pixels
        self._rules = LocalWriter(settings, objects)
        self._pixels = LocalSeer(settings, objects)
        self._apis: dict[Capability, Api] = {}

    @abstractmethod
    def api(self, capability: Capability) -> Api:
        """The service."""

    @abstractmethod
    def say(self, api: Api, name: str, model: TextModel, question: Question[A]) -> Said:
        """Send a question to a model of the card, by its name, and wait for what it says."""

    def refine(self, story: str | None, *, title: str, language: Language, call: PaidCall) -> Words:
        """Tidy the story, keeping the child's words, and say how its picture should move."""
        if not words_of(f"{title} {story or ''}"):
            # Nothing was told: there is nothing to ask about, and nothing to pay for.
            call.charge(0)
            return self._rules.refine(story, title=title, language=language)
        question = chat_writing.question(story, title=title, language=language)
        draft = self._answer(Capability.WRITER, question, call)
        return chat_writing.words(draft, question.language, method=self._method(Capability.WRITER))

    def read(self, drawing: Path, *, story: str | None, call: PaidCall) -> Reading:
        """Measure the pixels, and let the model say what they show."""
        pixels = self._pixels.read(drawing, story=story)
        picture = fit(drawing, chat_seeing.PICTURE, max_pixels=self._max_pixels)
        question = chat_seeing.question(pixels, picture, story=story)
        sight = self._answer(Capability.SEER, question, call)
        return chat_seeing.reading(pixels, sight, method=self._method(Capability.SEER))

    def _method(self, capability: Capability) -> str:
        return f"{self.card.title} {self.card.offer(capability).model}"

    def _answer(self, capability: Capability, question: Question[A], call: PaidCall) -> A:
        said = self._said(capability, question, call)
        try:
            return question.judged(said)
        except Wrong as wrong:
            question = question.again(said, wrong)
        log.info("answer_repaired", provider=self.name, capability=capability.value)
        try:
            return question.judged(self._said(capability, question, call))
        except Wrong:
            pass
        except (NotNow, StudioError) as error:
            # The first answer was charged. "Not now" would have it bought again, and so would another provider.
            if self.is_free or getattr(error, "symbol", "") == "CONTENT_REJECTED":
                raise
        raise StudioError("ANSWER_UNREADABLE", provider=self.card.title)

    def _said(self, capability: Capability, question: Question[A], call: PaidCall) -> Said:
        if capability not in self._apis:
            self._apis[capability] = self.api(capability)
        api = self._apis[capability]
        offer = self.card.offer(capability)
        assert isinstance(offer, TextOffer)  # noqa: S101 (writers and seers have no other; for the type checker)
        model = offer.known(offer.model)
        if model is None:
            raise cards.model_unknown(self.card, capability, offer.model)
        said = self.say(api, offer.model, model, question)
        micros = cost(model, said)
        if micros is not None:
            call.charge(micros)
        if said.ending is Ending.REFUSED:
            raise StudioError("CONTENT_REJECTED")
        return said


def cost(model: TextModel, said: Said) -> int | None:
    """What an answer cost, in millionths of the card's currency, rounded up; None where no price is known."""
    prices = (model.micros_per_million_input_tokens, model.micros_per_million_output_tokens)
    if said.tokens is None or not any(prices):
        return None
    product = sum(tokens * price for tokens, price in zip(said.tokens, prices, strict=True))
    return -(-product // 1_000_000)
