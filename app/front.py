"""The object store's public door: `/<bucket>/...` of the web server, forwarded to a store that only we can reach.

It makes the page and its uploads one origin, and mends what `rclone serve s3` gets wrong about ranges. The store checks
every signature, and Host, path and query are part of what is signed: they go through unchanged. Nothing here logs an
address, because a presigned address is a key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

import httpx

from app.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from app.errors import send_problem
from app.relay import Relay, pass_on, status_of

METHODS = ("GET", "HEAD", "PUT", "OPTIONS")

# What belongs to one connection and not to the message. `expect` was answered by our own server already.
_HOP_BY_HOP = frozenset(b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect".split())
# Headers of an answer that our own server, or what is around the front, sets. rclone lets every page read everything.
_OURS = re.compile(b"cache-control|date|server|access-control-.*")


class _ClientGone(Exception):
    """The client went away before its upload was complete."""


class ObjectFront:
    """An ASGI app around another: requests for the bucket go to `upstream`, all others to `app`.

    Uploads need a declared length of at most `max_bytes`. A store that does not answer gives 503 STORE_UNAVAILABLE.
    Connections to the store are closed when the lifespan ends.
    """

    def __init__(self, app: ASGIApp, *, upstream: str, bucket: str, max_bytes: int) -> None:
        self.app = app
        self.bucket = bucket
        self.max_bytes = max_bytes
        self._relay = Relay(upstream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_object(scope["path"]):
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, self._closing(send))
        else:
            await self.app(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections to the store. The end of the lifespan does it too."""
        await self._relay.aclose()

    def _is_object(self, path: str) -> bool:
        return path == f"/{self.bucket}" or path.startswith(f"/{self.bucket}/")

    def _closing(self, send: Send) -> Send:
        async def send_then_close(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self.aclose()
            await send(message)

        return send_then_close

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal:
            allow = {"Allow": ", ".join(METHODS)} if refusal == "METHOD_NOT_ALLOWED" else {}
            await send_problem(scope, send, refusal, headers=allow, max_bytes=self.max_bytes)
            return
        try:
            response = await self._ask(scope, receive)
        except _ClientGone:
            return
        except httpx.TransportError:
            await send_problem(scope, send, "STORE_UNAVAILABLE")
            return
        try:
            await pass_on(response, status_of(scope["method"], response), _headers_of(response), receive, send)
        finally:
            await response.aclose()

    def _refusal(self, scope: Scope) -> str | None:
        """The registry's symbol for what the store is not even asked."""
        if scope["method"] not in METHODS:
            return "METHOD_NOT_ALLOWED"
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"transfer-encoding" in headers or (scope["method"] == "PUT" and not length.isdigit()):
            return "INVALID_INPUT"
        if length.isdigit() and int(length) > self.max_bytes:
            return "FILE_TOO_LARGE"
        return None

    async def _ask(self, scope: Scope, receive: Receive) -> httpx.Response:
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
        query = scope["query_string"]
        has_body = any(name == b"content-length" for name, _ in scope["headers"])
        return await self._relay.ask(
            scope["method"],
            path + (b"?" + query if query else b""),
            _end_to_end(scope["headers"]),
            _body(receive) if has_body else None,
        )


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Ends the connection to the store in the middle of the body, so that no object comes of it.
            raise _ClientGone
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def _headers_of(response: httpx.Response) -> Headers:
    return [
        *((name, value) for name, value in _end_to_end(response.headers.raw) if not _OURS.fullmatch(name)),
        (b"cache-control", b"private"),
        (b"x-content-type-options", b"nosniff"),
    ]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    lowered = ((name.lower(), value) for name, value in headers)
    return [(name, value) for name, value in lowered if name not in _HOP_BY_HOP]
