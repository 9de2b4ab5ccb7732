"""Anthropic's models, as writer and as seer.

Its requests name the version of the interface that they are written for. In this one, parameters of sampling are
refused even at their defaults, and a refusal of the model's is a success like any other: only its `stop_reason` tells.

There is no idempotency key, so only what refuses work counts as not accepted: 429, and 529 (`overloaded_error`).
Whether a 500 (`api_error`) is billed is documented nowhere.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from studio.errors import OutcomeUnknown
from studio.providers.api import Answer, Api, Meaning
from studio.providers.cards import TextModel
from studio.providers.chat import JSON_SCHEMA, ChatModel
from studio.providers.chat_questions import Ending, Question, Said
from studio.providers.interfaces import Capability

KEY = "ANTHROPIC_API_KEY"
VERSION = "2026-10-21"
MAX_TOKENS = 8_000
"""Of an answer."""

_MEANINGS = {
    "authentication_error": Meaning.ACCOUNT,
    "permission_error": Meaning.ACCOUNT,
    "billing_error": Meaning.SPENT,
    "not_found_error": Meaning.NO_MODEL,
    "enforced_spend_limit_reached": Meaning.SPENT,
    "contract_spend_limit_reached": Meaning.SPENT,
}
_ENDINGS = {
    "refusal": Ending.REFUSED,
    "max_tokens": Ending.CUT,
    "model_context_window_exceeded": Ending.CUT,
}


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    usage: _Usage | None = None


class AnthropicChat(ChatModel):
    name = "anthropic"

    def api(self, capability: Capability) -> Api:
        """The service."""
        headers = {"Authorization": f"Bearer {self.card.secret(KEY)}", "anthropic-version": VERSION}
        return Api(self.card, capability, headers=lambda: headers, reader=read)

    def say(self, api: Api, name: str, model: TextModel, question: Question[Any]) -> Said:
        """Ask."""
        is_held = JSON_SCHEMA in model.traits
        body: dict[str, Any] = {
            "model": name,
            "max_tokens": MAX_TOKENS,
            "system": question.instructions(spelled_out=not is_held),
            "messages": _messages(question),
        }
        if is_held:
            body["output_config"] = {"format": {"type": "json_schema", "schema": question.schema}}
        return _said(api.buy("POST", "/messages", json=body, model=name))


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    error = answer.body.get("error") if answer.status >= 400 else None
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    for word in (str(code), str(error.get("type"))):
        if word in _MEANINGS:
            return _MEANINGS[word]
    if answer.status == 429 and "retry-after" not in answer.headers:
        # Whoever is too fast is told when to come again; whoever is not has come to the end of what may be spent.
        return Meaning.SPENT
    return None


def _messages(question: Question[Any]) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "text", "text": question.content}]
    if question.picture:
        data = base64.b64encode(question.picture).decode()
        content.insert(0, {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": data}})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if question.before:
        before, wrong = question.before
        messages += [{"role": "assistant", "content": before}] if before else []
        messages.append({"role": "user", "content": wrong})
    return messages


def _said(answer: Answer) -> Said:
    """What came back. Raises OutcomeUnknown where that is no answer: it was made, charged and lost."""
    try:
        message = msgspec.json.decode(answer.content, type=_Message)
    except msgspec.DecodeError as error:
        raise OutcomeUnknown from error
    # Thoughts and other blocks may come before it.
    text = next((block.text for block in message.content if block.type == "text"), "")
    usage = message.usage
    tokens = (usage.input_tokens, usage.output_tokens) if usage else None
    return Said(text, _ENDINGS.get(message.stop_reason or "", Ending.WHOLE), tokens)
