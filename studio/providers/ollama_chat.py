"""Models that Ollama runs on a machine of one's own, as writer and as seer. It costs nothing and knows no accounts."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from studio.errors import Away
from studio.providers.api import Answer, Api, Meaning
from studio.providers.cards import TextModel
from studio.providers.chat import JSON_SCHEMA, ChatModel
from studio.providers.chat_questions import Ending, Question, Said
from studio.providers.interfaces import Capability

MAX_TOKENS = 3_000
"""Of an answer. Without a bound, a small model may go on for ever."""
CONTEXT_TOKENS = 8_192
"""Of question and answer together; its own default is too small for a long story."""

_MEANINGS = {404: Meaning.NO_MODEL, 503: Meaning.BUSY}


class _Message(msgspec.Struct):
    content: str = ""


class _Chat(msgspec.Struct):
    message: _Message
    done_reason: str = ""


class OllamaChat(ChatModel):
    name = "ollama"
    repeats_safely = True

    def api(self, capability: Capability) -> Api:
        """The service."""
        return Api(self.card, capability, headers=dict, reader=lambda answer: _MEANINGS.get(answer.status))

    def say(self, api: Api, name: str, model: TextModel, question: Question[Any]) -> Said:
        """Ask. The schema is spelled out as well: a model that does not know what it is held to may write blanks."""
        body = {
            "model": name,
            "messages": _messages(question),
            "stream": False,
            "format": question.schema if JSON_SCHEMA in model.traits else "json",
            "options": {"temperature": 0, "num_predict": MAX_TOKENS, "num_ctx": CONTEXT_TOKENS},
        }
        return _said(api.ask("POST", "/api/chat", json=body, model=name))


def _messages(question: Question[Any]) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"role": "user", "content": question.content}
    if question.picture:
        asked["images"] = [base64.b64encode(question.picture).decode()]
    return [{"role": "system", "content": question.instructions(spelled_out=True)}, asked, *question.repair]


def _said(answer: Answer) -> Said:
    """What came back. Raises Away where that is no answer."""
    try:
        chat = msgspec.json.decode(answer.content, type=_Chat)
    except msgspec.DecodeError as error:
        raise Away("ollama answers with something else") from error
    return Said(chat.message.content, Ending.CUT if chat.done_reason == "length" else Ending.WHOLE)
