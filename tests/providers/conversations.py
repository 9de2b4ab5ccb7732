"""What a simulated model answers, and how strictly a simulated service looks at what it is sent.

By default it answers what was asked for: JSON that fits the schema, made of the data in the question. A test may put
other words into its mouth with `say`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.providers.simulator import Reply, Simulator

TOKENS_IN = 120
TOKENS_OUT = 34
"""What every answer is counted as."""

_HAN = re.compile(r"[\u3400-\u9fff]")


class Talker(Simulator):
    """A simulator that holds conversations."""

    def __init__(self) -> None:
        super().__init__()
        self.to_say: deque[str | Reply] = deque()

    def say(self, *answers: str | Reply) -> None:
        """The next answers: text for the model to say, or a reply as it is on the wire."""
        self.to_say.extend(answers)

    def forget(self) -> None:
        super().forget()
        self.to_say.clear()

    def replied(self, said: Callable[[], str], wrapped: Callable[[str], Any]) -> Reply:
        """The next answer that a test wants, or the model's own."""
        answer = self.to_say.popleft() if self.to_say else said()
        return answer if isinstance(answer, Reply) else Reply(200, wrapped(answer))

    def completed(self, body: dict[str, Any], **message: Any) -> Reply:
        """The same to a request in the form of OpenAI; `message` are more fields of the answer's."""
        asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        return self.replied(
            lambda: answer_to(text_of(asked).strip(), schema), lambda text: completion(body["model"], text, **message)
        )

    def malformed(self, answered: Reply) -> Reply:
        """The JSON inside of the answer breaks off in its middle."""
        match answered.body:
            case {"choices": [{"message": dict(holder)}]} | {"message": dict(holder)}:
                name = "content"
            case {"content": [{"text": str(_)} as holder]}:
                name = "text"
            case _:
                return super().malformed(answered)
        holder[name] = holder[name][: len(holder[name]) // 2]
        return answered


def answer_to(data: str, schema: dict[str, Any] | None) -> str:
    """What a well-behaved model says: to our two questions, to any other one with a schema, and to small talk."""
    try:
        asked = json.loads(data)
    except ValueError:
        asked = None
    if isinstance(asked, dict) and "regions" in asked:
        return json.dumps(_sight(asked), ensure_ascii=False)
    if isinstance(asked, dict) and "story" in asked:
        return json.dumps(_draft(asked), ensure_ascii=False)
    return json.dumps(_instance(schema), ensure_ascii=False) if schema else "Hello there."


def _draft(asked: dict[str, Any]) -> dict[str, Any]:
    story = asked["story"] or ""
    is_chinese = bool(_HAN.search(story or asked["title"]))
    kept = re.sub(r"https?:\S+|www\.\S+|(?<!\S)--?[A-Za-z]|[<>{}`*\[\]]", "", story)
    scene = "画里的主角轻轻地动，背景安静。" if is_chinese else "The figures stir gently in front of a calm background."
    return {"narration": kept, "scene": scene}


def _sight(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": {
            "zh": "一个圆球在左边，一个方块在右下方。",
            "en": "A ball is on the left, a block at the lower right.",
        },
        "tags": [{"zh": "圆和方", "en": "round and square"}, {"zh": "鲜艳", "en": "bright"}],
        "labels": [
            {"number": region["number"], "zh": f"第{region['number']}个圆球", "en": f"ball number {region['number']}"}
            for region in asked["regions"]
        ],
    }


def _instance(schema: dict[str, Any]) -> Any:
    """Something that fits a simple schema."""
    match schema.get("type"):
        case "object":
            return {name: _instance(of) for name, of in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}))]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return schema["enum"][0] if schema.get("enum") else "words"


# --- what is wrong with a request; None where nothing is


def wrong_fields(body: Any, *, required: dict[str, type | tuple[type, ...]], optional: dict[str, Any]) -> str | None:
    """Missing, unknown and mistyped fields of an object."""
    if not isinstance(body, dict):
        return "the body is no object"
    known = {**required, **optional}
    for name in required:
        if name not in body:
            return f"{name} is missing"
    for name, value in body.items():
        if name not in known:
            return f"{name} is unknown"
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is int):
            return f"{name} has the wrong type"
    return None


def wrong_question(
    body: Any, *, optional: dict[str, Any], roles: tuple[str, ...] = ("system", "user", "assistant"), most_bytes: int
) -> str | None:
    """Of a request in the form of OpenAI. `most_bytes` are of a picture."""
    if wrong := wrong_fields(body, required={"model": str, "messages": list}, optional=optional):
        return wrong
    said = " ".join(text_of(message.get("content", "")) for message in body["messages"])
    return _wrong_messages(body["messages"], roles, most_bytes) or _wrong_format(body.get("response_format"), said=said)


def _wrong_messages(messages: list[Any], roles: tuple[str, ...], picture_max_bytes: int) -> str | None:
    if not messages:
        return "messages is empty"
    for message in messages:
        if wrong := wrong_fields(message, required={"role": str, "content": (str, list)}, optional={"name": str}):
            return wrong
        if message["role"] not in roles:
            return f"the role {message['role']} is unknown"
        if isinstance(message["content"], str):
            if not message["content"]:
                return "a message is empty"
            continue
        for part in message["content"]:
            if wrong := _wrong_part(part, message["role"], picture_max_bytes):
                return wrong
    return None if messages[-1]["role"] == "user" else "the last message is not the user's"


def _wrong_part(part: Any, role: str, picture_max_bytes: int) -> str | None:
    match part:
        case {"type": "text", "text": str(text)} if text and len(part) == 2:
            return None
        case {"type": "image_url", "image_url": {"url": str(url), **rest}} if len(part) == 2:
            if role != "user":
                return "only the user shows pictures"
            if set(rest) - {"detail"} or rest.get("detail", "auto") not in ("auto", "low", "high"):
                return "image_url has unknown fields"
            return _wrong_url(url, picture_max_bytes)
    return "a part of a message is unknown"


def _wrong_url(url: str, max_bytes: int) -> str | None:
    if url.startswith("https://"):
        return None
    found = re.fullmatch(r"data:image/(jpeg|png|webp);base64,(.+)", url)
    return wrong_picture(f"image/{found[1]}", found[2], max_bytes) if found else "the picture's address is none"


def wrong_picture(mime: str, encoded: str, max_bytes: int) -> str | None:
    """Of a picture in base64."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return "the picture is no base64"
    first = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG", "image/webp": b"RIFF"}.get(mime)
    if first is None or not content.startswith(first):
        return "the picture is not what it claims"
    return "the picture is too large" if len(content) > max_bytes else None


def _wrong_format(asked: Any, *, said: str) -> str | None:
    """Of `response_format`. `said` is all that the messages say."""
    match asked:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"} if len(asked) == 1:
            return None if "json" in said.lower() else "'messages' must contain the word 'json'"
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema), **rest}}:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or set(rest) - {"strict", "description"}:
                return "json_schema is malformed"
            return wrong_schema(schema) if rest.get("strict") else None
    return "response_format is malformed"


_KEYWORDS = {"type", "properties", "required", "additionalProperties", "items", "description", "enum", "title"}


def wrong_schema(schema: dict[str, Any]) -> str | None:
    """A schema that a model can be held to is closed, and all of its properties are required."""
    if unknown := set(schema) - _KEYWORDS:
        return f"{min(unknown)} is not supported in a schema"
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return "additionalProperties has to be false"
        if set(schema.get("required", ())) != set(properties):
            return "all properties have to be required"
        return next((wrong for of in properties.values() if (wrong := wrong_schema(of))), None)
    return wrong_schema(schema["items"]) if schema.get("type") == "array" else None


def text_of(content: str | list[Any]) -> str:
    """The words of a message."""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def completion(model: str, text: str, **message: Any) -> dict[str, Any]:
    """An answer in the form of OpenAI; text that breaks off is one that became too long."""
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": message.pop("finish_reason", "stop"),
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }
