"""Volcengine Ark's own words, for all that it does: its address, its key, and the bodies of its errors."""

from __future__ import annotations

import secrets
from typing import ClassVar

from tests.providers.simulator import Reply, Request, Simulator

PREFIX = "/api/v3"


def error(status: int, code: str, message: str, *, param: str = "") -> Reply:
    """An error as Ark words it. What it says is followed by the id of the request."""
    kinds = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests"}
    words = f"{message} Request id: 0217{secrets.token_hex(14)}"
    body = {"code": code, "message": words, "param": param, "type": kinds.get(status, "InternalServerError")}
    return Reply(status, {"error": body})


class Refused(Exception):
    """A request that Ark does not take; `reply` is what it answers."""

    def __init__(self, code: str, message: str, *, status: int = 400, param: str = "") -> None:
        super().__init__(message)
        self.reply = error(status, code, message, param=param)


class ArkWords(Simulator):
    name: ClassVar[str] = "ark"

    def env(self) -> dict[str, str]:
        return {"ARK_BASE_URL": f"{self.url}{PREFIX}", "ARK_API_KEY": self.key}

    def check_key(self, request: Request) -> None:
        """Raises Refused."""
        if not self.is_signed(request):
            raise Refused("AuthenticationError", "The API key in the request is missing or invalid.", status=401)

    def busy(self) -> Reply:
        return error(429, "ModelAccountRpmRateLimitExceeded", "RPM limit exceeded for this model.")

    def broken(self) -> Reply:
        return error(500, "InternalServiceError", "The service encountered an unexpected internal error.")

    def rejected(self) -> Reply:
        return error(400, "InputImageSensitiveContentDetected", "The input image may contain sensitive information.")

    def unauthorized(self) -> Reply:
        return error(401, "AuthenticationError", "The API key doesn't exist.")

    def spent(self) -> Reply:
        return error(403, "AccountOverdueError", "The account has an overdue balance.")

    def no_model(self) -> Reply:
        return error(404, "InvalidEndpointOrModel.NotFound", "The model or endpoint does not exist.", param="model")
