"""One id and one log line per request, and bodies that are JSON or say that they are not."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import structlog
from litestar import Request
from litestar.exceptions import InternalServerException, SerializationException

from app.asgi import ASGIApp, Message, Receive, Scope, Send
from app.metrics import count_answer
from app.proxies import is_https
from studio.errors import StudioError
from studio.logs import write_line
from studio.records import new_id

log = logging.getLogger("app")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# For answers that do not say it themselves. Most hold a child's words and addresses that open the child's pictures: no
# browser on a shared machine may keep them.
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
# A year. Not for names below this one, which are somebody else's to speak for.
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class RequestLine:
    """Gives every request an id (the caller's own when it has one), returns it, and logs what was answered how fast.

    It goes around the whole application, because the framework's own middleware does not see what has no route. The
    line names the route, not the path: a path holds ids. For the same reason it is here that every answer gets the
    headers that are everybody's.
    """

    def __init__(self, app: ASGIApp, *, trusted_proxies: int) -> None:
        self.app = app
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                count_answer(scope["method"], scope.get("path_template", ""), status, time.monotonic() - began)
                given = message.get("headers", ())
                named = {name.lower() for name, _ in given}
                headers = [*given, (b"x-request-id", request_id.encode())]
                headers += [header for header in _HEADERS if header[0] not in named]
                if is_https(scope, self._trusted_proxies):
                    headers.append(_HTTPS_ONLY)
                message["headers"] = headers
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, answer)
            finally:
                route = scope.get("path_template", "")
                ms = round(1000 * (time.monotonic() - began), 1)
                told = {"method": scope["method"], "route": route, "status": status, "ms": ms}
                write_line(log, "request", **told, request_id=request_id)


class JSONRequest(Request[Any, Any, Any]):
    """A request whose body is refused with a symbol of ours when it is not JSON."""

    async def body(self) -> bytes:
        try:
            return await super().body()
        except InternalServerException as error:
            # The framework's word for a caller who left in the middle. It is no fault of ours, and half a body no JSON.
            raise StudioError("INVALID_JSON") from error

    async def json(self) -> Any:
        try:
            return await super().json()
        except (SerializationException, UnicodeDecodeError, RecursionError) as error:
            # The decoder lets the last two through: text that is no UTF-8, and a thousand brackets in each other.
            raise StudioError("INVALID_JSON") from error
