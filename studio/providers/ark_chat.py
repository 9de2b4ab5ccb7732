"""Doubao's chat models on Ark, as writer and as seer."""

from __future__ import annotations

from typing import Any

from studio.providers import ark, completions
from studio.providers.api import Api
from studio.providers.cards import TextModel
from studio.providers.chat import ChatModel
from studio.providers.chat_questions import Question, Said
from studio.providers.interfaces import Capability

MAX_TOKENS = 4096
"""Of an answer; what Ark itself goes by where nothing is said."""
THINKS = "thinks"
"""The trait of a model that thinks first, unless it is told not to. Others refuse to be told."""


class ArkChat(ChatModel):
    name = "ark"

    def api(self, capability: Capability) -> Api:
        """The service."""
        return ark.api(self.card, capability)

    def say(self, api: Api, name: str, model: TextModel, question: Question[Any]) -> Said:
        """Ask, without waiting for thoughts."""
        body = completions.asked(name, model, question) | {"max_tokens": MAX_TOKENS}
        if THINKS in model.traits:
            body["thinking"] = {"type": "disabled"}
        return completions.said(api.buy("POST", "/chat/completions", json=body, model=name))
