"""Ollama's own chat, on a machine of one's own: no key, no account, no filter."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.providers.conversations import TOKENS_IN, TOKENS_OUT, Talker, answer_to, wrong_fields, wrong_picture
from tests.providers.simulator import Reply, Request, operation

PICTURE_MAX_BYTES = 50_000_000


def answered(model: str, text: str, *, done_reason: str = "stop") -> dict[str, Any]:
    """An answer."""
    return {
        "model": model,
        "created_at": "2026-11-21T10:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": done_reason,
        "total_duration": 900_000_000,
        "load_duration": 100_000_000,
        "prompt_eval_count": TOKENS_IN,
        "prompt_eval_duration": 200_000_000,
        "eval_count": TOKENS_OUT,
        "eval_duration": 600_000_000,
    }


class OllamaSimulator(Talker):
    name: ClassVar[str] = "ollama"
    pulled = frozenset({"qwen2.5:0.5b", "qwen2.5vl:3b", "llama3.2:latest"})
    """The models that are there."""

    def env(self) -> dict[str, str]:
        return {"OLLAMA_BASE_URL": self.url}

    def busy(self) -> Reply:
        return Reply(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})

    def broken(self) -> Reply:
        return Reply(500, {"error": "llama runner process has terminated"})

    def no_model(self) -> Reply:
        return Reply(404, {"error": "model not found, try pulling it first"})

    @operation("GET", "/api/version", "version")
    def version(self, request: Request) -> Reply:
        return Reply(200, {"version": "0.33.0"})

    @operation("POST", "/api/chat", "chat")
    def chat(self, request: Request) -> Reply:
        body: dict[str, Any] = request.json
        if wrong := self._wrong(body):
            return Reply(400, {"error": wrong})
        name = body["model"] if ":" in body["model"] else f"{body['model']}:latest"
        if name not in self.pulled:
            return self.no_model()
        schema = body.get("format")
        said = next(message["content"] for message in body["messages"] if message["role"] == "user").strip()
        return self.replied(
            lambda: answer_to(said, schema if isinstance(schema, dict) else None), lambda text: answered(name, text)
        )

    def _wrong(self, body: Any) -> str | None:
        optional = {
            "stream": bool,
            "format": (str, dict),
            "options": dict,
            "keep_alive": (str, int, float),
            "tools": list,
            "think": (bool, str),
        }
        if wrong := wrong_fields(body, required={"model": str, "messages": list}, optional=optional):
            return wrong
        if body.get("stream", True):
            return "this simulator does not stream; the default is to do so"
        if isinstance(body.get("format"), str) and body["format"] != "json":
            return "invalid format"
        if not isinstance(body.get("options", {}).get("num_predict"), int):
            return "an answer without a bound may never end"
        return next(filter(None, map(_wrong_message, body["messages"])), None)


def _wrong_message(message: Any) -> str | None:
    if wrong := wrong_fields(message, required={"role": str, "content": str}, optional={"images": list}):
        return wrong
    if message["role"] not in ("system", "user", "assistant"):
        return "invalid role"
    wrongs = (wrong_picture("image/jpeg", picture, PICTURE_MAX_BYTES) for picture in message.get("images", []))
    return next(filter(None, wrongs), None)
