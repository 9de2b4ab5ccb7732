"""Asking the object store on a client's behalf, and passing its answer on as it comes.

Nothing here logs an address, because a presigned address is a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from app.asgi import Headers, Receive, Send

# Long reads are normal: a paused film keeps its connection. So no limit on their number, and none on writes.
_TIMEOUT = httpx.Timeout(None, connect=5.0, read=60.0).as_dict()
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32)


class Relay:
    """The connections to one store. They belong to the event loop of the first request."""

    def __init__(self, upstream: str) -> None:
        self.upstream = httpx.URL(upstream)
        # The bare transport, and not httpx.AsyncClient: the client logs every URL, adds headers of its own, follows
        # proxies named in the environment, and keeps cookies.
        self._transport = httpx.AsyncHTTPTransport(limits=_LIMITS)

    async def ask(
        self, method: str, target: bytes, headers: Headers, content: AsyncIterator[bytes] | None = None
    ) -> httpx.Response:
        """The store's answer, whose body is still to come; the caller closes it. Raises httpx.TransportError.

        `target`, path and query, is sent as it is: a URL would be normalised, and its signature would no longer fit.
        """
        extensions = {"target": target, "timeout": _TIMEOUT}
        request = httpx.Request(method, self.upstream, headers=headers, content=content, extensions=extensions)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def status_of(method: str, response: httpx.Response) -> int:
    """The status of a store's answer, with what `rclone serve s3` gets wrong put right."""
    if response.status_code == 200 and method in {"GET", "HEAD"} and "content-range" in response.headers:
        return 206  # rclone 1.75 answers ranges with 200, which makes browsers refuse to seek
    # rclone says 400 to unsigned and expired requests. What it refuses at the door lacks the id that it gives to
    # every request it lets in, which is how these differ from a request that is signed and wrong.
    if response.status_code == 400 and "x-amz-request-id" not in response.headers:
        return 403
    return response.status_code


async def pass_on(response: httpx.Response, status: int, headers: Headers, receive: Receive, send: Send) -> None:
    """Send status, headers and the body of the store's answer, until its end or until the client has gone."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
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
