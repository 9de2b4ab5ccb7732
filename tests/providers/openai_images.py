"""OpenAI's painters: one call, answered with the picture in base64, always."""

from __future__ import annotations

import base64
import time
from typing import Any
from uuid import uuid4

from tests.providers.openai import OpenAIWords
from tests.providers.pictures import Paints, sides
from tests.providers.simulator import Reply, Request, operation

PAINTERS = {"gpt-image-2.6-flare", "gpt-image-2.6-sunburst"}
_SIZES = {"auto", "1024x1024", "1536x1024", "1024x1536"}
_KINDS: dict[str, type] = {
    "model": str,
    "prompt": str,
    "n": int,
    "size": str,
    "quality": str,
    "output_format": str,
    "output_compression": int,
    "background": str,
    "moderation": str,
    "user": str,
}
_ALLOWED: dict[str, set[Any]] = {
    "size": _SIZES,
    "quality": {"auto", "low", "medium", "high"},
    "output_format": {"png", "webp", "jpeg"},
    "background": {"auto", "transparent", "opaque"},
    "moderation": {"auto", "low"},
    "n": set(range(1, 11)),
}


class OpenAIImages(OpenAIWords, Paints):
    @operation("POST", "/v1/images/generations", "paint")
    def paint(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        asked = request.json
        # Of the older models, and told apart from what is unknown.
        for gone in ("response_format", "style"):
            if gone in asked:
                return self.invalid(f"Unknown parameter: '{gone}'.", gone)
        for name, value in asked.items():
            if name not in _KINDS or type(value) is not _KINDS[name] or value not in _ALLOWED.get(name, {value}):
                return self.invalid(f"Invalid value: '{name}'.", name)
        if not 0 < len(asked.get("prompt", "")) <= 32_000:
            return self.invalid("The prompt is missing or too long.", "prompt")
        if asked.get("model") not in PAINTERS:
            return self.no_model()
        self.accept(asked, task_id=uuid4().hex)
        return Reply(200, self._pictures(asked), {"x-request-id": "req_simulated"})

    def _pictures(self, asked: dict[str, Any]) -> dict[str, Any]:
        size = sides(asked.get("size"), "x") or (1024, 1024)
        picture = {"b64_json": base64.b64encode(self.painted(size)).decode()}
        return {
            "created": int(time.time()),
            "background": "opaque",
            "output_format": asked.get("output_format", "png"),
            "quality": "medium",
            "size": f"{size[0]}x{size[1]}",
            "data": [picture] * asked.get("n", 1),
            "usage": {
                "input_tokens": 9,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 9},
                "output_tokens": 1056,
                "total_tokens": 1065,
            },
        }
