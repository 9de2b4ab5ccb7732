"""The form of chat that OpenAI made and others took over: messages, how an answer is held to JSON, and its reading."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from studio.errors import OutcomeUnknown
from studio.providers.api import Answer
from studio.providers.cards import TextModel
from studio.providers.chat import JSON_OBJECT, JSON_SCHEMA
from studio.providers.chat_questions import Ending, Question, Said

_ENDINGS = {"length": Ending.CUT, "content_filter": Ending.REFUSED}


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    usage: _Usage | None = None


def asked(name: str, model: TextModel, question: Question[Any]) -> dict[str, Any]:
    """The body of a request."""
    return {"model": name, "messages": _messages(model, question), **_format(model, question)}


def said(answer: Answer) -> Said:
    """What came back. Raises OutcomeUnknown where that is no answer: it was made, charged and lost."""
    try:
        completion = msgspec.json.decode(answer.content, type=_Completion)
    except msgspec.DecodeError as error:
        raise OutcomeUnknown from error
    choice = completion.choices[0]
    ending = _ENDINGS.get(choice.finish_reason or "", Ending.WHOLE)
    if choice.message.refusal:
        ending = Ending.REFUSED
    usage = completion.usage
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else None
    return Said(choice.message.content or "", ending, tokens)


def picture_url(picture: bytes) -> str:
    """A JPEG as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _messages(model: TextModel, question: Question[Any]) -> list[dict[str, Any]]:
    content: str | list[dict[str, Any]] = question.content
    if question.picture:
        content = [
            {"type": "image_url", "image_url": {"url": picture_url(question.picture)}},
            {"type": "text", "text": question.content},
        ]
    return [
        {"role": "system", "content": question.instructions(spelled_out=JSON_SCHEMA not in model.traits)},
        {"role": "user", "content": content},
        *question.repair,
    ]


def _format(model: TextModel, question: Question[Any]) -> dict[str, Any]:
    if JSON_SCHEMA in model.traits:
        schema = {"name": question.kind.__name__.lower(), "strict": True, "schema": question.schema}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if JSON_OBJECT in model.traits:
        return {"response_format": {"type": "json_object"}}
    return {}
