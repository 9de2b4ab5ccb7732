"""OpenAI's chat models, as writer and as seer."""

from __future__ import annotations

from typing import Any

from studio.providers import completions, openai
from studio.providers.api import Api
from studio.providers.cards import TextModel
from studio.providers.chat import ChatModel
from studio.providers.chat_questions import Question, Said
from studio.providers.interfaces import Capability

MAX_TOKENS = 16_000
"""Of an answer, with what a model thinks before it: a bound on what one can cost."""


class OpenAIChat(ChatModel):
    name = "openai"

    def api(self, capability: Capability) -> Api:
        """The service."""
        return openai.api(self.card, capability)

    def say(self, api: Api, name: str, model: TextModel, question: Question[Any]) -> Said:
        """Ask. Nothing is kept there, as far as that can be asked for."""
        body = completions.asked(name, model, question)
        body |= {"max_completion_tokens": MAX_TOKENS, "store": False}
        return completions.said(api.buy("POST", "/chat/completions", json=body, model=name))
