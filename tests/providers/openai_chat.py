"""OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from tests.providers.conversations import Talker, wrong_question
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
        return self.completed(body, refusal=None)

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
        roles = ("system", "developer", "user", "assistant")
        return wrong_question(body, optional=optional, roles=roles, most_bytes=PICTURE_MAX_BYTES)
