"""Qwen, and Qwen-VL, through DashScope's compatible mode, as writer and as seer."""

from __future__ import annotations

from typing import Any

from studio.providers import completions, dashscope
from studio.providers.api import Api
from studio.providers.cards import TextModel
from studio.providers.chat import ChatModel
from studio.providers.chat_questions import Question, Said
from studio.providers.interfaces import Capability

MAX_TOKENS = 8_000
"""Of an answer. A small bound is known to cut JSON off."""


class QwenChat(ChatModel):
    name = "qwen"

    def api(self, capability: Capability) -> Api:
        """The service."""
        return dashscope.api(self.card, capability)

    def say(self, api: Api, name: str, model: TextModel, question: Question[Any]) -> Said:
        """Ask. Held to a JSON object, a message has to hold the word json; the spelled out schema does."""
        body = completions.asked(name, model, question) | {"max_tokens": MAX_TOKENS}
        return completions.said(api.buy("POST", "/chat/completions", json=body, model=name))
