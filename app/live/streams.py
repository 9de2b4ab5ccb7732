"""The two ways in which an open connection is told what happens: server-sent events and a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, cast

import structlog
from litestar import Response, WebSocket
from litestar.exceptions import WebSocketDisconnect
from pymongo.errors import PyMongoError

from app.asgi import Receive, Scope, Send
from app.live.news import News

log = structlog.get_logger("app")

SEND_WITHIN_S = 30.0
"""Who takes nothing for so long is dropped, and may come back with the last number it knows."""

AnySocket = WebSocket[Any, Any, Any]
Batches = AsyncGenerator[list[News], None]
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would otherwise collect events before it passes them on
]
_STILL_HERE = b": still here\n\n"


class EventStream(Response[None]):
    """Server-sent events, written as plain ASGI: the framework's own cost each watcher several times the memory.

    `batches` are as of `Hub.follow`, `frame` writes an event. What fails before the first batch is raised. Later on it
    ends the stream, as a slow reader does: a browser comes back by itself.
    """

    def __init__(self, batches: Batches, frame: Callable[[News], bytes]) -> None:
        super().__init__(None, media_type="text/event-stream")
        self._batches = batches
        self._frame = frame

    def to_asgi_response(self, *_arguments: Any, **_options: Any) -> Any:
        return self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(news: list[News]) -> None:
            body = b"".join(map(self._frame, news)) or _STILL_HERE
            await _taken(send({"type": "http.response.body", "body": body, "more_body": True}))

        async with aclosing(self._batches):
            first: list[News] = await anext(self._batches, [])
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            with suppress(TimeoutError):
                await _until_one_ends(_tell(first, self._batches, say), _disconnected(receive))
                await _taken(send({"type": "http.response.body", "body": b"", "more_body": False}))


async def tell_socket(socket: AnySocket, batches: Batches, text: Callable[[News], bytes], alive: bytes) -> None:
    """Accept a WebSocket and tell it what happens, a message for each event. What it says itself is not listened to.

    `alive` is said when there is nothing else to say. What fails before the first batch is raised.
    """

    async def say(news: list[News]) -> None:
        for message in map(text, news) if news else [alive]:
            await _taken(socket.send_text(message.decode()))

    async with aclosing(batches):
        first: list[News] = await anext(batches, [])
        await socket.accept()
        # Whether it went away or was dropped, there may be nobody left to say goodbye to.
        with suppress(WebSocketDisconnect, TimeoutError):
            await _until_one_ends(_tell(first, batches, say), _disconnected(cast("Receive", socket.receive)))
            await _taken(socket.close())


async def _tell(first: list[News], batches: Batches, say: Callable[[list[News]], Awaitable[None]]) -> None:
    """Say what happens, to its end. Raises TimeoutError when that is not taken."""
    news = first
    try:
        while True:
            await say(news)
            news = await anext(batches)
    except StopAsyncIteration:
        return
    except PyMongoError as error:
        log.warning("live_log_unread", reason=type(error).__name__)


async def _taken(sending: Awaitable[None]) -> None:
    async with asyncio.timeout(SEND_WITHIN_S):
        await sending


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass


async def _until_one_ends(*ways: Coroutine[Any, Any, None]) -> None:
    """Run all until one has ended, then end the others. Raises what one of them raised."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
