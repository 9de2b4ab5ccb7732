"""OpenAI's own words, for whatever of it is simulated: its key, its address and its refusals."""

from __future__ import annotations

from typing import Any

from tests.providers.simulator import Reply, Simulator


def refusal(status: int, message: str, *, kind: str, code: str | None = None, param: str | None = None) -> Reply:
    """An error as OpenAI words it."""
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    return Reply(status, {"error": error}, {"x-request-id": "req_simulated"})


class OpenAIWords(Simulator):
    name = "openai"
    key = "sk-test-openai"

    def env(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": self.key, "OPENAI_BASE_URL": f"{self.url}/v1"}

    def busy(self) -> Reply:
        return refusal(429, "Rate limit reached.", kind="requests", code="rate_limit_exceeded")

    def broken(self) -> Reply:
        return refusal(500, "The server had an error.", kind="server_error")

    def rejected(self) -> Reply:
        return refusal(400, "Blocked by our safety system.", kind="invalid_request_error", code="moderation_blocked")

    def unauthorized(self) -> Reply:
        return refusal(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")

    def spent(self) -> Reply:
        return refusal(429, "You exceeded your current quota.", kind="insufficient_quota", code="insufficient_quota")

    def no_model(self) -> Reply:
        return refusal(404, "The model does not exist.", kind="invalid_request_error", code="model_not_found")

    def invalid(self, message: str, param: str | None = None) -> Reply:
        """A request that is not as the interface wants it."""
        return refusal(400, message, kind="invalid_request_error", param=param)
