"""Qwen and Qwen-VL in DashScope's compatible mode."""

from __future__ import annotations

from typing import Any

from tests.providers.conversations import Talker, wrong_question
from tests.providers.dashscope import DashScopeWords
from tests.providers.simulator import Reply, Request

PICTURE_MAX_BYTES = 10_000_000


class DashScopeChat(DashScopeWords, Talker):
    schema_models = frozenset({"qwen-plus", "qwen-flash", "qwen3-max"})
    """Those that can be held to a schema."""
    vision_models = frozenset({"qwen3-vl-plus"})

    def chat(self, request: Request) -> Reply:
        body: dict[str, Any] = request.json
        if wrong := self._wrong(body):
            return self.invalid(wrong)
        name = body["model"]
        if name not in self.schema_models | self.vision_models:
            return self.no_model()
        form = body.get("response_format", {}).get("type")
        if form == "json_schema" and name not in self.schema_models:
            return self.invalid("json_schema is not supported by this model")
        if b'"image_url"' in request.body and name not in self.vision_models:
            return self.invalid("this model takes no pictures")
        return self.completed(body)

    def _wrong(self, body: Any) -> str | None:
        optional = {
            "max_tokens": int,
            "temperature": (int, float),
            "top_p": (int, float),
            "seed": int,
            "stop": (str, list),
            "response_format": dict,
            "enable_thinking": bool,
            "stream": bool,
        }
        return wrong_question(body, optional=optional, most_bytes=PICTURE_MAX_BYTES)
