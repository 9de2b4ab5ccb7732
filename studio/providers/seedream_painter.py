"""Seedream by Volcengine (Ark): one call, answered with the picture."""

from __future__ import annotations

import base64

import msgspec

from studio.errors import OutcomeUnknown
from studio.providers import ark
from studio.providers.api import Answer, Meaning
from studio.providers.at_once import MakesAtOnce
from studio.providers.interfaces import PaintingRequest
from studio.providers.paintings import PaidPainter


class _Error(msgspec.Struct):
    code: str = ""


class _Picture(msgspec.Struct):
    b64_json: str | None = None
    error: _Error | None = None


class _Pictures(msgspec.Struct):
    data: list[_Picture] = []
    error: _Error | None = None


class SeedreamPainter(PaidPainter, MakesAtOnce[PaintingRequest]):
    """The picture is asked for in the answer itself: an address would be one more thing that can be lost or expire."""

    name = "seedream"
    service = ark
    ending = ".picture"

    def _make(self, request: PaintingRequest) -> bytes:
        body = {
            "model": request.model,
            "prompt": self._prompt(request),
            "size": self._size(request),
            "response_format": "b64_json",
            "sequential_image_generation": "disabled",
            "watermark": True,
        }
        answer = self._api.buy("POST", "/images/generations", json=body, model=request.model)
        try:
            found = msgspec.convert(answer.json(), _Pictures)
            picture = found.data[0] if found.data else _Picture(error=found.error)
            if error := picture.error:
                raise self._failure(error.code, answer)
            content = base64.b64decode(picture.b64_json or "", validate=True)
        except ValueError as error:
            raise OutcomeUnknown from error
        if not content:
            raise OutcomeUnknown
        return content

    def _failure(self, code: str, answer: Answer) -> Exception:
        """A picture that failed in an answer that did not. Only pictures that were made are charged."""
        return self._api.failure(ark.meaning_of(code) or Meaning.FAILED, answer)
