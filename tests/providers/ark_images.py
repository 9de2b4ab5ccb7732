"""Ark's painter, Seedream: one call, answered with pictures or with what became of each."""

from __future__ import annotations

import base64
import time
from typing import Any
from uuid import uuid4

from tests.providers.ark import PREFIX, ArkWords, error
from tests.providers.pictures import Paints, sides
from tests.providers.simulator import Reply, Request, operation

PAINTERS = {"doubao-seedream-5-0-260128", "doubao-seedream-4-5-251128"}
_KINDS: dict[str, type] = {
    "model": str,
    "prompt": str,
    "size": str,
    "response_format": str,
    "output_format": str,
    "watermark": bool,
    "sequential_image_generation": str,
    "stream": bool,
}
_ALLOWED: dict[str, set[Any]] = {
    "response_format": {"url", "b64_json"},
    "output_format": {"png", "jpeg"},
    "sequential_image_generation": {"disabled"},
    "stream": {False},
}
_NAMED_SIZES = {"2K": (2048, 2048), "3K": (3072, 3072), "4K": (4096, 4096)}
_ERRORS = {"rejected": "OutputImageSensitiveContentDetected", "failed": "InternalServiceError"}


class ArkImages(ArkWords, Paints):
    def env(self) -> dict[str, str]:
        return {**super().env(), "SEEDREAM_BASE_URL": f"{self.url}{PREFIX}"}

    @operation("POST", f"{PREFIX}/images/generations", "paint")
    def paint(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        # Ark's own client sends null for all that nobody asked for.
        asked = {name: value for name, value in request.json.items() if value is not None}
        if wrong := _wrong(asked):
            return error(400, "InvalidParameter", wrong)
        if asked["model"] not in PAINTERS:
            return self.no_model()
        task = self.accept(asked, task_id=uuid4().hex)
        if code := _ERRORS.get(task.state):
            failed = {"error": {"code": code, "message": "simulated"}}
            return _answer(asked, [failed], pictures=0)
        width, height = _size(asked)
        if asked.get("response_format", "url") == "url":
            made = {"url": f"{self.url}/seedream/{task.id}.png?X-Tos-Signature=simulated"}
        else:
            made = {"b64_json": base64.b64encode(self.painted((width, height))).decode()}
        return _answer(asked, [{**made, "size": f"{width}x{height}"}], pictures=1)

    @operation("GET", "/seedream/{id}.png", "picture")
    def serve_picture(self, request: Request, id: str) -> Reply:  # noqa: A002 (the name in the path)
        """Without the key: the address alone opens it."""
        if id not in self.tasks or "X-Tos-Signature" not in request.query:
            return self.expired()
        return Reply(200, self.painted(_size(self.tasks[id].asked)), {"Content-Type": "image/png"})


def _answer(asked: dict[str, Any], data: list[dict[str, Any]], *, pictures: int) -> Reply:
    usage = {"generated_images": pictures, "output_tokens": 16_384 * pictures, "total_tokens": 16_384 * pictures}
    return Reply(200, {"model": asked["model"], "created": int(time.time()), "data": data, "usage": usage})


def _size(asked: dict[str, Any]) -> tuple[int, int]:
    size = asked.get("size", "2048x2048")
    return _NAMED_SIZES.get(size) or sides(size, "x") or (0, 0)


def _wrong(asked: dict[str, Any]) -> str:
    for name, value in asked.items():
        if name not in _KINDS or type(value) is not _KINDS[name] or value not in _ALLOWED.get(name, {value}):
            return f"The parameter `{name}` is not valid."
    if not asked.get("model") or not asked.get("prompt", "").strip():
        return "The parameters `model` and `prompt` are required."
    width, height = _size(asked)
    if not 3_686_400 <= width * height <= 16_777_216 or not 1 / 16 <= width / height <= 16:
        return "The parameter `size` is not valid."
    return ""
