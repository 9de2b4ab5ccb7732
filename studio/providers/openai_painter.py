"""Images by OpenAI: one call, answered with the picture. There is no address, and nothing to look up later."""

from __future__ import annotations

import base64

import msgspec

from studio.errors import OutcomeUnknown
from studio.providers import openai
from studio.providers.at_once import MakesAtOnce
from studio.providers.interfaces import PaintingRequest
from studio.providers.paintings import PaidPainter


class _Picture(msgspec.Struct):
    b64_json: str


class _Pictures(msgspec.Struct):
    data: list[_Picture]


class OpenAIPainter(PaidPainter, MakesAtOnce[PaintingRequest]):
    """A request that is repeated is charged again, and there is no key that would prevent it."""

    name = "openai"
    service = openai
    ending = ".png"

    def _make(self, request: PaintingRequest) -> bytes:
        body = {
            "model": request.model,
            "prompt": self._prompt(request),
            "n": 1,
            "size": self._size(request),
            "output_format": "png",
        }
        answer = self._api.buy("POST", "/images/generations", json=body, model=request.model)
        try:
            found = msgspec.convert(answer.json(), _Pictures)
            return base64.b64decode(found.data[0].b64_json, validate=True)
        except (ValueError, IndexError) as error:
            raise OutcomeUnknown from error
