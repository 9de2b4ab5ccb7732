"""Qwen and Qwen-VL in DashScope's compatible mode."""

from __future__ import annotations

from typing import Any

from tests.providers.conversations import (
    Talker,
    answer_to,
    completion,
    text_of,
    wrong_fields,
    wrong_format,
    wrong_messages,
)
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
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        first = next(message for message in body["messages"] if message["role"] == "user")
        return self.replied(
            lambda: answer_to(text_of(first["content"]).strip(), schema), lambda text: completion(name, text)
        )

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
        if wrong := wrong_fields(body, required={"model": str, "messages": list}, optional=optional):
            return wrong
        said = " ".join(text_of(message.get("content", "")) for message in body["messages"])
        return wrong_messages(
            body["messages"], {"system", "user", "assistant"}, picture_max_bytes=PICTURE_MAX_BYTES
        ) or wrong_format(body.get("response_format"), said=said)
