"""Ark's chat completions. It refuses fields that it does not know, the role `developer`, and what a model cannot do."""

from __future__ import annotations

from typing import Any

from tests.providers.ark import ArkWords, Refused, error
from tests.providers.conversations import Talker, wrong_question
from tests.providers.simulator import Reply, Request, operation

PICTURE_MAX_BYTES = 10_000_000


class ArkChat(ArkWords, Talker):
    thinking_models = frozenset(
        {"doubao-seed-2-0-lite-260428", "doubao-seed-2-1-turbo-260628", "doubao-seed-2-1-pro-260628"}
    )
    other_chat_models = frozenset({"doubao-1-5-pro-256k-250115", "doubao-1-5-vision-pro-32k-250115"})
    schema_models: frozenset[str] = frozenset()
    """Those that can be held to JSON."""

    @operation("POST", "/api/v3/chat/completions", "chat")
    def chat(self, request: Request) -> Reply:
        try:
            self.check_key(request)
        except Refused as refused:
            return refused.reply
        # Its own client sends null for whatever is not given.
        body: dict[str, Any] = {name: value for name, value in request.json.items() if value is not None}
        if wrong := self._wrong(body):
            return error(400, "InvalidParameter", wrong)
        name = body["model"]
        if name not in self.thinking_models | self.other_chat_models:
            return self.no_model()
        if "thinking" in body and name not in self.thinking_models:
            return error(400, "InvalidParameter", "thinking is not supported by this model", param="thinking")
        if "response_format" in body and name not in self.schema_models:
            return error(400, "InvalidParameter", "json is not supported by this model", param="response_format")
        return self.completed(body)

    def _wrong(self, body: Any) -> str | None:
        optional = {
            "max_tokens": int,
            "max_completion_tokens": int,
            "temperature": (int, float),
            "top_p": (int, float),
            "stop": (str, list),
            "frequency_penalty": (int, float),
            "presence_penalty": (int, float),
            "response_format": dict,
            "thinking": dict,
            "reasoning_effort": str,
            "service_tier": str,
            "stream": bool,
        }
        if wrong := wrong_question(body, optional=optional, most_bytes=PICTURE_MAX_BYTES):
            return wrong
        if "max_tokens" in body and "max_completion_tokens" in body:
            return "max_tokens and max_completion_tokens exclude each other"
        if body.get("thinking", {"type": "auto"}) not in [{"type": kind} for kind in ("enabled", "disabled", "auto")]:
            return "thinking is malformed"
        return None
