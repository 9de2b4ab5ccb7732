"""HEAD: whatever can be read with GET answers it, without the body."""

from __future__ import annotations

import asyncio
from http.client import METHOD_NOT_ALLOWED

from app.asgi import ASGIApp, Message, Receive, Scope, Send


class HeadOfGet:
    """An ASGI app around another. A handler that takes HEAD itself is left to it; any other sees a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
        elif not await self._is_taken(scope, receive, send):
            await self._get(scope, receive, send)

    async def _is_taken(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether the call was answered as the HEAD that it is. When not, nothing was sent."""
        is_taken = True

        async def send_unless_refused(message: Message) -> None:
            nonlocal is_taken
            if message["type"] == "http.response.start":
                is_taken = message["status"] != METHOD_NOT_ALLOWED
            if is_taken:
                await send(message)

        await self.app(scope, receive, send_unless_refused)
        return is_taken

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers of a GET.

        Once they are out, the app is told that the caller has left: a stream ends which nobody will see.
        """
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
