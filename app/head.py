"""HEAD: whatever can be read with GET answers it, without the body."""

from __future__ import annotations

import asyncio

from app.asgi import ASGIApp, Message, Receive, Scope, Send


class HeadOfGet:
    """An ASGI app around another, which sees a GET.

    Once the headers are out it is told that the caller has left, so that a stream ends which nobody will see.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        is_asked, is_answered = False, asyncio.Event()

        async def receive_once() -> Message:
            nonlocal is_asked
            if not is_asked:
                is_asked = True
                return await receive()
            await is_answered.wait()
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                is_answered.set()

        # The same scope, because the line that is logged about the call finds the route in it.
        scope["method"] = "GET"
        try:
            await self.app(scope, receive_once, send_head)
        finally:
            scope["method"] = "HEAD"
