"""Anthropic's Messages. A refusal of the model's is a success whose `stop_reason` says so."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from tests.providers.conversations import (
    TOKENS_IN,
    TOKENS_OUT,
    Talker,
    answer_to,
    text_of,
    wrong_fields,
    wrong_picture,
    wrong_schema,
)
from tests.providers.simulator import Reply, Request, operation

VERSION = "2026-10-21"
PICTURE_MAX_BYTES = 5_000_000
BODY_MAX_BYTES = 32_000_000


def refusal(status: int, kind: str, message: str, *, error_code: str = "", retry_after: str = "") -> Reply:
    """An error as Anthropic words it."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if error_code:
        error["details"] = {"error_code": error_code}
    headers = {"request-id": "req_simulated"} | ({"Retry-After": retry_after} if retry_after else {})
    return Reply(status, {"type": "error", "error": error, "request_id": "req_simulated"}, headers)


def message(model: str, text: str, *, stop_reason: str = "end_turn") -> dict[str, Any]:
    """An answer."""
    return {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT},
    }


class AnthropicSimulator(Talker):
    name: ClassVar[str] = "anthropic"
    key: ClassVar[str] = "sk-ant-test"
    chat_models = frozenset({"claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"})

    def env(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": self.key, "ANTHROPIC_BASE_URL": f"{self.url}/v1"}

    def busy(self) -> Reply:
        # Whoever is too fast is always told when to come again.
        return refusal(429, "rate_limit_error", "You are over your rate limit.", retry_after="2")

    def broken(self) -> Reply:
        return refusal(500, "api_error", "Internal server error.")

    def rejected(self) -> Reply:
        body = message("claude-haiku-5-5", "", stop_reason="refusal")
        return Reply(200, {**body, "content": [], "stop_details": {"type": "refusal", "category": "other"}})

    def unauthorized(self) -> Reply:
        return refusal(401, "authentication_error", "The API key is invalid.")

    def spent(self) -> Reply:
        return refusal(429, "rate_limit_error", "A spend limit is reached.", error_code="enforced_spend_limit_reached")

    def no_model(self) -> Reply:
        return refusal(404, "not_found_error", "There is no such model.")

    def is_signed(self, request: Request) -> bool:
        given = [request.headers.get("Authorization"), request.headers.get("x-api-key")]
        return given in ([f"Bearer {self.key}", None], [None, self.key])

    @operation("POST", "/v1/messages", "chat")
    def chat(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        if request.headers.get("anthropic-version") != VERSION:
            return refusal(400, "invalid_request_error", "anthropic-version has to be given")
        if len(request.body) > BODY_MAX_BYTES:
            return refusal(413, "request_too_large", "The request is too large.")
        body: dict[str, Any] = request.json
        if wrong := self._wrong(body):
            return refusal(400, "invalid_request_error", wrong)
        if body["model"] not in self.chat_models:
            return self.no_model()
        schema = body.get("output_config", {}).get("format", {}).get("schema")
        said = text_of(body["messages"][0]["content"]).strip()
        return self.replied(lambda: answer_to(said, schema), lambda text: message(body["model"], text))

    def _wrong(self, body: Any) -> str | None:
        # Parameters of sampling are not among them, on purpose.
        optional = {
            "system": (str, list),
            "stop_sequences": list,
            "stream": bool,
            "metadata": dict,
            "thinking": dict,
            "service_tier": str,
            "output_config": dict,
        }
        required: dict[str, Any] = {"model": str, "max_tokens": int, "messages": list}
        if wrong := wrong_fields(body, required=required, optional=optional):
            return wrong
        return _wrong_output(body.get("output_config", {})) or _wrong_messages(body["messages"])


def _wrong_output(config: dict[str, Any]) -> str | None:
    if set(config) - {"effort", "format"}:
        return "output_config has unknown fields"
    match config.get("format"):
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema), **rest} if not rest:
            return wrong_schema(schema)
    return "output_config.format is malformed"


def _wrong_messages(messages: list[Any]) -> str | None:
    for told in messages:
        if wrong := wrong_fields(told, required={"role": str, "content": (str, list)}, optional={}):
            return wrong
        if told["role"] not in ("user", "assistant"):
            return f"the role {told['role']} is unknown"
        blocks = told["content"] if isinstance(told["content"], list) else [{"type": "text", "text": told["content"]}]
        if wrong := next(filter(None, map(_wrong_block, blocks)), None):
            return wrong
    if not messages or messages[0]["role"] != "user" or messages[-1]["role"] != "user":
        return "the first and the last message have to be the user's"
    return None


def _wrong_block(block: Any) -> str | None:
    match block:
        case {"type": "text", "text": str(text), **rest} if not rest:
            return None if re.search(r"\S", text) else "a text is empty"
        case {"type": "image", "source": {"type": "base64", "media_type": str(mime), "data": str(data), **rest}}:
            return "source has unknown fields" if rest else wrong_picture(mime, data, PICTURE_MAX_BYTES)
    return "a block is unknown"
