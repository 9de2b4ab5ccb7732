"""The painters and voices that are paid, one row each, and one of them at its simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from studio.objects import ObjectStore
from studio.providers import Made, Maker, PaintingRequest, SpeechRequest
from studio.providers.cosyvoice_voice import CosyVoice
from studio.providers.openai_painter import OpenAIPainter
from studio.providers.openai_voice import OpenAIVoice
from studio.providers.seedream_painter import SeedreamPainter
from studio.providers.wan_painter import WanPainter
from studio.providers.z_image_painter import ZImagePainter
from studio.settings import Settings
from tests.providers.ark_images import ArkImages
from tests.providers.dashscope_audio import DashScopeAudio
from tests.providers.dashscope_images import DashScopeImages
from tests.providers.openai_audio import OpenAIAudio
from tests.providers.openai_images import OpenAIImages
from tests.providers.simulator import Simulator
from tests.studio.providers import asking
from tests.studio.providers.asking import outcome

KEY = "0199aa00000000000000000000000001"
FOLDER = "clients/somebody/artworks/one/render/v1/"


@dataclass(frozen=True)
class Case:
    """A maker, its service, what is asked of it, and the operations by which that is bought and fetched."""

    kind: Callable[[Settings, ObjectStore], Maker[Any]]
    service: type[Simulator]
    request: PaintingRequest | SpeechRequest
    buys: str
    fetches: str = ""
    """Empty where what was made comes with the answer."""


def _painting(model: str, size: str) -> PaintingRequest:
    return PaintingRequest(folder=FOLDER, prompt="一只红色的小狐狸", language="zh", model=model, size=size)


def _speech(model: str, voice: str) -> SpeechRequest:
    return SpeechRequest(folder=FOLDER, text="从前有一只小狐狸。", language="zh", model=model, voice=voice)


TASKS: dict[str, Case] = {
    "wan": Case(WanPainter, DashScopeImages, _painting("wan2.6-t2i", "1280x1280"), "paint_later", "picture"),
    "wan-older": Case(
        WanPainter, DashScopeImages, _painting("wan2.2-t2i-flash", "1024x1024"), "paint_later", "picture"
    ),
}
"""Painters that take their time."""
PAINTERS: dict[str, Case] = TASKS | {
    "z-image": Case(ZImagePainter, DashScopeImages, _painting("z-image-turbo", "1024x1024"), "paint", "picture"),
    "seedream": Case(SeedreamPainter, ArkImages, _painting("doubao-seedream-5-0-260128", "2048x2048"), "paint"),
    "openai": Case(OpenAIPainter, OpenAIImages, _painting("gpt-image-2.6-flare", "1024x1024"), "paint"),
}
VOICES: dict[str, Case] = {
    "cosyvoice": Case(
        CosyVoice, DashScopeAudio, _speech("cosyvoice-v3-flash", "longanyang"), "speech", "speech_result"
    ),
    "openai-voice": Case(OpenAIVoice, OpenAIAudio, _speech("gpt-4o-mini-tts", "coral"), "speech"),
}
CASES = PAINTERS | VOICES


class Bench(asking.Bench[Maker[Any]]):
    """One maker at its simulator."""

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(case.kind, case.service(), folder)
        self.case = case
        self.target = folder / "made"

    def submit(self, *, key: str = KEY, **changes: Any) -> object:
        """What comes of asking for it; `changes` are of the request."""
        request = msgspec.structs.replace(self.case.request, **changes)
        return outcome(lambda: self.provider.submit(request, idempotency_key=key))

    def look(self, provider_id: object) -> object:
        return outcome(lambda: self.provider.look(str(provider_id), self.case.request, progress=print))

    def reconcile(self, age_s: float) -> object:
        return outcome(lambda: self.provider.reconcile(self.case.request, idempotency_key=KEY, age_s=age_s))

    def buy(self) -> Made:
        """What was asked for, and is there."""
        found = self.look(self.submit())
        assert isinstance(found, Made)
        return found

    def fetch(self, made: Made) -> object:
        """What comes of bringing it into `target`: None where it is there."""
        return outcome(lambda: self.provider.fetch(made, self.target))

    @property
    def bought(self) -> int:
        """How often it was asked for something that costs."""
        return len(self.simulator.asked(self.case.buys))


@contextmanager
def at(case: Case, folder: Path) -> Iterator[Bench]:
    bench = Bench(case, folder)
    with bench.simulator.running():
        yield bench
