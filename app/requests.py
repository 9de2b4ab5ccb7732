"""One id and one log line per request."""

from __future__ import annotations

import re
import time

import structlog
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from studio.records import new_id

log = structlog.get_logger("app")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RequestLine(ASGIMiddleware):
    """Gives every request an id (the caller's own when it has one), returns it, and logs what was answered how fast.

    The line names the route, not the path: a path holds ids.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope["state"]["request_id"] = request_id
        began = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableScopeHeaders.from_message(message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await next_app(scope, receive, answer)
            finally:
                route = scope.get("path_template", "")
                ms = round(1000 * (time.monotonic() - began), 1)
                log.info("request", method=scope.get("method"), route=route, status=status, ms=ms)
