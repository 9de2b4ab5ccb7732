"""DashScope's own words, for whatever of it is simulated. It has two dialects: its own, and OpenAI's with its codes."""

from __future__ import annotations

from typing import Any

from tests.providers.simulator import Fault, Reply, Request, Simulator, operation

COMPATIBLE = "/compatible-mode/v1"
NATIVE = "/api/v1"


class DashScopeWords(Simulator):
    name = "dashscope"
    key = "sk-test-dashscope"

    def env(self) -> dict[str, str]:
        native = f"{self.url}{NATIVE}"
        return {
            "DASHSCOPE_API_KEY": self.key,
            "QWEN_BASE_URL": f"{self.url}{COMPATIBLE}",
            "Z_IMAGE_BASE_URL": native,
            "WAN_BASE_URL": native,
            "COSYVOICE_BASE_URL": native,
        }

    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        # A refusal speaks the dialect of what was asked.
        self._at_hand.is_compatible = request.path.startswith(COMPATIBLE)
        return super().answer(request)

    @operation("POST", f"{COMPATIBLE}/chat/completions", "chat")
    def complete(self, request: Request) -> Reply:
        """One address for two things: whoever sends sound wants it written down."""
        if not self.is_signed(request):
            return self.unauthorized()
        if b'"input_audio"' in request.body:
            return self.hear(request)
        return self.chat(request)

    def chat(self, request: Request) -> Reply:
        """Answer what was said. A simulator that chats overrides this."""
        return self.no_model()

    def hear(self, request: Request) -> Reply:
        """Write down what was recorded. A simulator that hears overrides this."""
        return self.no_model()

    def refusal(self, status: int, code: str, compatible_code: str, message: str) -> Reply:
        """An error in the dialect of the request at hand."""
        told: dict[str, Any] = {"code": code, "message": message}
        if getattr(self._at_hand, "is_compatible", False):
            error = {"message": message, "type": compatible_code, "param": None, "code": compatible_code}
            told = {"error": error}
        return Reply(status, {**told, "request_id": "simulated"})

    def busy(self) -> Reply:
        return self.refusal(429, "Throttling.RateQuota", "limit_requests", "Requests rate limit exceeded")

    def broken(self) -> Reply:
        return self.refusal(500, "InternalError", "internal_error", "An internal error has occurred")

    def rejected(self) -> Reply:
        message = "Input data may contain inappropriate content."
        return self.refusal(400, "DataInspectionFailed", "data_inspection_failed", message)

    def unauthorized(self) -> Reply:
        return self.refusal(401, "InvalidApiKey", "invalid_api_key", "Invalid API-key provided.")

    def spent(self) -> Reply:
        return self.refusal(400, "Arrearage", "Arrearage", "Access denied, the account is overdue.")

    def no_model(self) -> Reply:
        return self.refusal(404, "ModelNotFound", "model_not_found", "The model does not exist.")

    def invalid(self, message: str) -> Reply:
        """A request that is not as the interface wants it."""
        return self.refusal(400, "InvalidParameter", "invalid_parameter_error", message)
