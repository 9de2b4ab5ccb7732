"""OpenAI's chat completions."""

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
from tests.providers.openai import OpenAIWords
from tests.providers.simulator import Reply, Request, operation

PICTURE_MAX_BYTES = 8_000_000


class OpenAIChat(OpenAIWords, Talker):
    chat_models = frozenset({"gpt-6-luna", "gpt-6-astra", "gpt-6.1-sol", "gpt-6.1-terra"})

    @operation("POST", "/v1/chat/completions", "chat")
    def chat(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        body: dict[str, Any] = request.json
        if wrong := self._wrong(body):
            return self.invalid(wrong)
        if body["model"] not in self.chat_models:
            return self.no_model()
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        first = next(message for message in body["messages"] if message["role"] == "user")
        return self.replied(
            lambda: answer_to(text_of(first["content"]).strip(), schema),
            lambda text: completion(body["model"], text, refusal=None),
        )

    def _wrong(self, body: Any) -> str | None:
        optional = {
            "max_completion_tokens": int,
            "temperature": (int, float),
            "stop": (str, list),
            "response_format": dict,
            "reasoning_effort": str,
            "verbosity": str,
            "seed": int,
            "n": int,
            "store": bool,
            "stream": bool,
            "safety_identifier": str,
            "service_tier": str,
        }
        if wrong := wrong_fields(body, required={"model": str, "messages": list}, optional=optional):
            return wrong
        roles = {"system", "developer", "user", "assistant"}
        said = " ".join(text_of(message.get("content", "")) for message in body["messages"])
        return wrong_messages(body["messages"], roles, picture_max_bytes=PICTURE_MAX_BYTES) or wrong_format(
            body.get("response_format"), said=said
        )
