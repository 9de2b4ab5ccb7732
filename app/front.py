"""The object store's public door: `/<bucket>/...` of the web server, forwarded to a store that only we can reach.

It makes the page and its uploads one origin, and mends what `rclone serve s3` gets wrong about ranges. The store checks
every signature, and Host, path and query are part of what is signed: they go through unchanged. Nothing here logs an
address, because a presigned address is a key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import httpx

from app.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from app.errors import send_problem

METHODS = ("GET", "HEAD", "PUT", "OPTIONS")

# What belongs to one connection and not to the message. `expect` was answered by our own server already.
_HOP_BY_HOP = frozenset(b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect".split())
# Headers of an answer that our own server, or what is around the front, sets. rclone lets every page read everything.
_OURS = re.compile(b"cache-control|date|server|access-control-.*")
# Long reads are normal: a paused film keeps its connection. So no limit on their number, and none on writes.
_TIMEOUT = httpx.Timeout(None, connect=5.0, read=60.0).as_dict()
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32)


class _ClientGone(Exception):
    """The client went away before its upload was complete."""


class ObjectFront:
    """An ASGI app around another: requests for the bucket go to `upstream`, all others to `app`.

    Uploads need a declared length of at most `max_bytes`. A store that does not answer gives 503 STORE_UNAVAILABLE.
    Connections to the store are closed when the lifespan ends.
    """

    def __init__(self, app: ASGIApp, *, upstream: str, bucket: str, max_bytes: int) -> None:
        self.app = app
        self.upstream = httpx.URL(upstream)
        self.bucket = bucket
        self.max_bytes = max_bytes
        # The bare transport, and not httpx.AsyncClient: the client logs every URL, adds headers of its own, follows
        # proxies named in the environment, and keeps cookies.
        self._transport = httpx.AsyncHTTPTransport(limits=_LIMITS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_object(scope["path"]):
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, self._closing(send))
        else:
            await self.app(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections to the store. The end of the lifespan does it too."""
        await self._transport.aclose()

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
            response = await self._transport.handle_async_request(self._forwarded(scope, receive))
        except _ClientGone:
            return
        except httpx.TransportError:
            await send_problem(scope, send, "STORE_UNAVAILABLE")
            return
        try:
            await _relay(scope["method"], response, receive, send)
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

    def _forwarded(self, scope: Scope, receive: Receive) -> httpx.Request:
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
        query = scope["query_string"]
        has_body = any(name == b"content-length" for name, _ in scope["headers"])
        return httpx.Request(
            scope["method"],
            self.upstream,
            headers=_end_to_end(scope["headers"]),
            content=_body(receive) if has_body else None,
            # `target` is sent as it is; a URL would be normalised, and the signature would no longer fit.
            extensions={"target": path + (b"?" + query if query else b""), "timeout": _TIMEOUT},
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


async def _relay(method: str, response: httpx.Response, receive: Receive, send: Send) -> None:
    """Pass the store's answer on, until its end or until the client has gone."""
    await send(
        {
            "type": "http.response.start",
            "status": _status(method, response),
            "headers": [
                *((name, value) for name, value in _end_to_end(response.headers.raw) if not _OURS.fullmatch(name)),
                (b"cache-control", b"private"),
                (b"x-content-type-options", b"nosniff"),
            ],
        }
    )
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        async for chunk in response.stream:  # type: ignore[union-attr]  # an async transport gives an async stream
            # Players drop a range as soon as they seek: the rest of the film must not be read for nobody.
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except httpx.TransportError:
        # The status is out already. To end without the last message makes our server cut the connection, so the
        # client sees a broken answer and not a short one.
        return
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _status(method: str, response: httpx.Response) -> int:
    if response.status_code == 200 and method in {"GET", "HEAD"} and "content-range" in response.headers:
        return 206  # rclone 1.75 answers ranges with 200, which makes browsers refuse to seek
    # rclone says 400 to unsigned and expired requests. What it refuses at the door lacks the id that it gives to
    # every request it lets in, which is how these differ from a request that is signed and wrong.
    if response.status_code == 400 and "x-amz-request-id" not in response.headers:
        return 403
    return response.status_code


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    lowered = ((name.lower(), value) for name, value in headers)
    return [(name, value) for name, value in lowered if name not in _HOP_BY_HOP]
